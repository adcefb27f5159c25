"""Matrix products summed in another order, for processors without a second set of kernels: see tests/arithmetic.py.

Python imports a module of this name before anything else, in the kernels of notebooks and other processes too, where
its folder is on PYTHONPATH. The second half of the inner dimension is summed before the first, with no copy of either.
"""

import importlib.util
import sys
import warnings


def another_order(torch):
    """Replace torch's products of dense matrices on the CPU, gradients' and those under `vmap` included."""

    def product(out, a, b, beta=0, alpha=1):
        half = a.shape[-1] // 2
        add = torch.baddbmm if a.ndim == 3 else torch.addmm
        add(out, a[..., half:], b[..., half:, :], beta=beta, alpha=alpha, out=out)
        return add(out, a[..., :half], b[..., :half, :], alpha=alpha, out=out)

    def new(a, b):
        return product(a.new_empty(*a.shape[:-1], b.shape[-1]), a, b)

    def added(c, a, b, *, beta=1, alpha=1):
        return product(c.expand(*a.shape[:-1], b.shape[-1]).clone(), a, b, beta, alpha)

    def added_in_place(c, a, b, *, beta=1, alpha=1):
        return product(c, a, b, beta, alpha)

    def new_vector(a, b):
        return new(a, b[:, None])[:, 0]

    kernels = {"mm": new, "mv": new_vector, "bmm": new, "addmm": added, "baddbmm": added, "addmm_": added_in_place}
    another_order.library = torch.library.Library("aten", "IMPL")  # it ends with the object
    with warnings.catch_warnings(action="ignore"):  # that a kernel is replaced
        for name, kernel in kernels.items():
            another_order.library.impl(name, kernel, "CPU", allow_override=True)


class AfterTorch:
    """Finds torch as usual, and puts the other order in once it is loaded; other processes stay as fast as they are."""

    def find_spec(self, name, path=None, target=None):
        if name != "torch":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("torch")
        load = spec.loader.exec_module

        def load_and_replace(module):
            load(module)
            another_order(module)

        spec.loader.exec_module = load_and_replace
        return spec


if __name__ == "sitecustomize":  # and not where pytest looks for doctests
    sys.meta_path.insert(0, AfterTorch())
