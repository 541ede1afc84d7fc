from pretrain.reporting.plots import curves_png, histograms_png


def test_values_that_are_not_finite_leave_gaps():
    panel = [("a", [("x", [1, 2, 3], [1.0, float("nan"), 0.0]), ("y", [1, 2, 3], [1.0, 2.0, float("inf")])])]
    for log_scale in (False, True):
        assert curves_png(panel * 4, log_scale=log_scale, marks=2).startswith(b"\x89PNG")
    assert histograms_png({0: [0.5, 0.5]}, "weights").startswith(b"\x89PNG")
