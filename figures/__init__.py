"""One module per figure; figures read results, trajectories and theory, and never train."""
