"""FNeVR (Zeng et al., NeurIPS 2022): FOMM's motion, features refined by volume rendering, and a SPADE decoder."""
