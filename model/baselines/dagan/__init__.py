"""DaGAN (Hong et al., CVPR 2022): FOMM with a face's disparity as a fourth channel and in the generator's attention."""
