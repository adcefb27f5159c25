"""The truth that influences predict: networks trained with and without each point, kept on disk and resumed there,
and what vouches for a kept run.
"""
