"""How Hugging Face models of each kind read texts and images."""
