"""A kernel is a function of one or two sets of points that gives a matrix: of infinite width (Eq. 4), or the tangent
kernel of a given network by its Jacobian. Points and networks come in, matrices go out.
"""
