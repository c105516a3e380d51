"""Published mean test log-likelihoods of the binary density-estimation sets, nats a row, for benchmarks/density.py.

NADE sets: the table of Germain et al. (2015), with the numbers of the NADE papers that it quotes. Binarized MNIST: the same,
and the NADE and EoNADE papers. DEBD: LearnSPN, ID-SPN, ACMN, MT (mixtures of trees) and WinMine from Rooshenas & Lowd (2014),
EiNet from Peharz et al. (2020), all recalled rather than looked up, so use the last digit as orientation only; HCLT from the
logs of Liu & Van den Broeck (2021) at their best validation epoch.
"""

NADE = {
    "columns": ("mix. Bern.", "RBM", "FVSBN", "NADE", "EoNADE 16", "DARN", "MADE", "MADE masks"),
    "adult": (-20.44, -16.26, -13.17, -13.19, -13.19, -13.19, -13.12, -13.13),
    "connect4": (-23.41, -22.66, -12.39, -11.99, -12.58, -11.91, -11.90, -11.90),
    "dna": (-98.19, -96.74, -83.64, -84.81, -82.31, -81.04, -83.63, -79.66),
    "mushrooms": (-14.46, -15.15, -10.27, -9.81, -9.69, -9.55, -9.68, -9.69),
    "nips": (-290.02, -277.37, -276.88, -273.08, -272.39, -274.68, -280.25, -277.28),
}

DEBD = {
    "columns": ("LearnSPN", "ID-SPN", "ACMN", "MT", "WinMine", "EiNet", "HCLT"),
    "nltcs": (-6.11, -6.02, -6.00, -6.01, -6.03, -6.015, -5.999),
    "msnbc": (-6.11, -6.04, -6.04, -6.07, -6.04, -6.119, -6.058),
    "plants": (-12.98, -12.54, -12.80, -12.95, -12.65, -13.676, -14.265),
    "baudio": (-40.50, -39.79, -40.32, -40.08, -40.50, -39.879, -39.768),
    "bnetflix": (-57.33, -56.36, -57.22, -56.74, -57.03, -56.544, -56.248),
    "accidents": (-30.04, -26.98, -27.11, -29.63, -26.32, -35.594, -26.736),
    "tretail": (-11.04, -10.85, -10.88, -10.83, -10.87, -10.916, -10.855),
    "dna": (-82.52, -81.21, -80.03, -85.14, -80.65, -96.086, -79.051),
    "kosarek": (-10.99, -10.60, -10.84, -10.62, -10.83, -11.029, -10.598),
    "book": (-35.89, -34.14, -35.56, -34.63, -36.41, -34.739, -33.534),
    "cwebkb": (-158.20, -151.84, -159.13, -156.86, -157.43, -157.282, -150.838),
    "c20ng": (-155.93, -151.47, -161.13, -154.24, -158.95, -153.938, -153.644),
    "ad": (-19.73, -19.05, -16.53, -16.02, -18.35, -26.273, -16.064),
}

MNIST = {
    "columns": ("mix. Bern. 500", "RBM 500", "NADE", "EoNADE 128", "MADE", "MADE 32 masks", "PixelRNN"),
    "binarized_mnist": (-137.64, -86.34, -88.33, -87.71, -88.40, -88.04, -79.20),
}

#: folder of a data set -> its table
PUBLISHED = {"nade": NADE, "debd": DEBD, "images": MNIST}
