"""A kernel is a function of two sets of points, (n, d) and (k, d), that gives their (n, k) matrix: of infinite width
(Eq. 4), or the tangent kernel of a given network by its Jacobian. Points and networks come in, matrices go out.
"""

from collections.abc import Callable

import torch

__all__ = ["Kernel"]

#: Of two sets of points, which may be the same; symmetric and without negative eigenvalues. Those here are `ntk` and
#: `deep_ntk`; a kernel of your own is any function of this kind, such as `lambda x, z: (x @ z.T) ** 2`.
Kernel = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
