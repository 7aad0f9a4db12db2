"""From labels of unknown quality to a list of those to look at: python -m experiments.tutorial."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from rrm_theory.sklearn import RRMClassifier

# 1. Your samples and labels. Here: handwritten digits, every fourth label replaced by another one.
X, true = load_digits(return_X_y=True)
rng = np.random.default_rng(0)
y = true.copy()
y[::4] = (true[::4] + rng.integers(1, 10, size=len(y[::4]))) % 10

# 2. Any classifier that takes sample weights. How many labels are wrong is estimated, from losses
#    of held-out samples; no sample may weigh more than twice its share.
model = RRMClassifier(LogisticRegression(max_iter=500), cap=2, random_state=0).fit(X / 16, y)
print(f"{model.contamination_:.0%} of the labels look wrong.")

# 3. Those that lost their weight, the largest loss first; what the classifier says instead.
suspects = np.flatnonzero(model.pruned_)
suspects = suspects[np.argsort(-model.loss_[suspects], kind="stable")]
instead = model.predict(X / 16)
print("sample  label  rather")
for i in suspects[:10]:
    print(f"{i:6}  {y[i]:5}  {instead[i]:6}")

# 4. With your own data you would look at these now. Here the truth is known.
wrong = y != true
found = wrong[suspects].sum()
print(f"{found} of the {len(suspects)} suspects are wrong, of {wrong.sum()} wrong labels in all.")
plain = LogisticRegression(max_iter=500).fit(X / 16, y)
print(f"Right classes: {100 * np.mean(plain.predict(X / 16) == true):.1f} % without RRM,", end=" ")
print(f"{100 * np.mean(instead == true):.1f} % with it.")
