"""`hdvg report`: one page, a Markdown card or JSON that shows a dataset, made of its figures, its clips' numbers and pictures."""
