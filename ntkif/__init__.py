"""Influence functions of over-parameterized neural networks, in closed form through the neural tangent kernel."""

from ntkif.influence.closed_form import group_influence, ihvp_influence, influence_terms, loo_influence, ntk_influence
from ntkif.influence.network import NetworkInfluence, network_influence
from ntkif.influence.table import InfluenceTable
from ntkif.kernels.infinite import ntk, ntk_monte_carlo
from ntkif.kernels.tangent import tangent_kernel
from ntkif.regression.ridge import RidgeFit, refit_without, ridge_fit
from ntkif.regression.weighted import WeightedFit, weighted_fit
from ntkif.retraining.validation import validate
from ntkif.training.conversion import from_torch
from ntkif.training.recording import record_training
from ntkif.training.verdict import NotPredictableError

__version__ = "0.1.0"
__all__ = [
    "InfluenceTable",
    "NTKInfluence",
    "NTKInfluenceClassifier",
    "NetworkInfluence",
    "NotPredictableError",
    "RidgeFit",
    "WeightedFit",
    "from_torch",
    "group_influence",
    "ihvp_influence",
    "influence_terms",
    "loo_influence",
    "network_influence",
    "ntk",
    "ntk_influence",
    "ntk_monte_carlo",
    "record_training",
    "refit_without",
    "ridge_fit",
    "tangent_kernel",
    "validate",
    "weighted_fit",
]


def __getattr__(name: str):
    """The estimators, imported on first use: they need scikit-learn, which a bare GPU machine may not have."""
    if name == "NTKInfluence":
        from ntkif.estimators.regressor import NTKInfluence

        return NTKInfluence
    if name == "NTKInfluenceClassifier":
        from ntkif.estimators.classifier import NTKInfluenceClassifier

        return NTKInfluenceClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
