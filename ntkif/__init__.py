"""Influence functions of over-parameterized neural networks, in closed form through the neural tangent kernel."""

from ntkif.influence import group_influence, ihvp_influence, influence_terms, loo_influence, ntk_influence
from ntkif.kernel import ntk, ntk_monte_carlo
from ntkif.regression import RidgeFit, refit_without, ridge_fit
from ntkif.tangent import tangent_kernel
from ntkif.trained import network_influence

__all__ = [
    "RidgeFit",
    "group_influence",
    "ihvp_influence",
    "influence_terms",
    "loo_influence",
    "network_influence",
    "ntk",
    "ntk_influence",
    "ntk_monte_carlo",
    "refit_without",
    "ridge_fit",
    "tangent_kernel",
]
