"""Influence functions of over-parameterized neural networks, in closed form through the neural tangent kernel."""

from ntkif.influence import group_influence, ihvp_influence, influence_terms, loo_influence, ntk_influence
from ntkif.kernel import ntk, ntk_monte_carlo
from ntkif.regression import RidgeFit, refit_without, ridge_fit
from ntkif.tangent import tangent_kernel
from ntkif.trained import network_influence

__all__ = [
    "NTKInfluence",
    "NTKInfluenceClassifier",
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


def __getattr__(name: str):
    """The estimators, imported on first use: they need scikit-learn, which a bare GPU machine may not have."""
    if name == "NTKInfluence":
        from ntkif.estimator import NTKInfluence

        return NTKInfluence
    if name == "NTKInfluenceClassifier":
        from ntkif.classifier import NTKInfluenceClassifier

        return NTKInfluenceClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
