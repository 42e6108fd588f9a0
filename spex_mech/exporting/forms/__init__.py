"""Forms of a compact checkpoint: which servers read it, and which masks it can hold.

In: a model that was cut (`compact.cut_model`). Out: a `Checkpoint`, which writes itself into a folder and
reads itself back. `choose_form` (choice) takes the form that a user names, or the first that fits.

| form | read by | what its layers may differ in |
|---|---|---|
| family | what reads the model itself | nothing |
| laguna | Transformers >= 5.17 and vLLM, for Qwen3 | query heads |
| gguf | llama.cpp, for Llama and Mistral | query heads, key/value heads, attention and MLPs removed |
| own | this package, Transformers and vLLM where it is installed | anything |

A new form is a file here with an `ExportForm`, and a line in `FORMS`; what its layers have in common is a
line in `core.layer_rules.LAYER_RULES`.
"""

from spex_mech.exporting.forms.choice import FORMS as FORMS
from spex_mech.exporting.forms.choice import choose_form as choose_form
