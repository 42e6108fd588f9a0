"""Which words of an altered trolley problem act together? See the README beside this file.

python analyses/trolley/run.py
python analyses/trolley/run.py --paper
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parent)]

from dilemmas import SYNONYMS, dilemmas
from reworded_run import run

if __name__ == "__main__":
    run(dilemmas(), SYNONYMS, HERE, masks=64)
