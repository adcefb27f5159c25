"""A table or a folder of images in, one page out: which labels look wrong, what drives the predictions, what to remove.

It reads, fits an estimator, computes and writes HTML and CSV; `python -m ntkif report` is its door.
"""
