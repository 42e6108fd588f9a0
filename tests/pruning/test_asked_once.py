"""A function that remembers gives the function's values, and asks it once for each set."""

import numpy as np

from spex_mech.core.masks import all_masks
from spex_mech.pruning.asked_once import AskedOnce


def test_each_set_is_asked_for_once():
    asked = []

    def function(masks):
        asked.extend(map(bytes, masks))
        return masks @ np.array([1.0, 2.0, 4.0, 8.0])

    remembered, masks = AskedOnce(function), all_masks(4)
    rows = np.array([3, 3, 0, 7])
    np.testing.assert_array_equal(remembered(masks[rows]), rows)
    assert len(asked) == 3
    np.testing.assert_array_equal(remembered(masks), np.arange(16))
    np.testing.assert_array_equal(remembered(masks[:0]), [])
    assert len(asked) == len(set(asked)) == 16
