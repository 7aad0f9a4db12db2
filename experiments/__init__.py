"""The harness: runs as data, one visible training loop, results that resume and can be checked."""
