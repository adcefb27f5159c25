"""The method with the face of scikit-learn: a regressor and a classifier with influences, and their files."""

from ntkif.checks import require_extra

require_extra("estimators", "sklearn")
