"""Do the words of a double negation act together? See the README beside this file.

python analyses/negation/run.py
python analyses/negation/run.py --paper
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE.parent)]

from reworded_run import run
from statements import SYNONYMS, statements

if __name__ == "__main__":
    run(statements(), SYNONYMS, HERE, masks=64)
