"""How right a dataset is: a few hundred clips, one question each, and two rates a rule with intervals. See docs/audit.md."""
