"""GPC Studio: see how a predictive controller thinks."""
