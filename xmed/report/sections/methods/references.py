"""References that the methods text may cite, as sentences and as BibTeX."""

from __future__ import annotations

REFERENCES: dict[str, dict[str, str]] = {
    "paszke2019": {
        "text": "Paszke A et al. PyTorch: an imperative style, high-performance deep learning library. NeurIPS 2019.",
        "kind": "inproceedings", "author": "Paszke, Adam and others", "year": "2019", "booktitle": "NeurIPS",
        "title": "PyTorch: An imperative style, high-performance deep learning library",
    },
    "cardoso2022": {
        "text": "Cardoso MJ et al. MONAI: an open-source framework for deep learning in healthcare. arXiv 2211.02701.",
        "kind": "misc", "author": "Cardoso, M. Jorge and others", "year": "2022", "eprint": "2211.02701",
        "title": "MONAI: An open-source framework for deep learning in healthcare",
    },
    "valindria2017": {
        "text": "Valindria VV et al. Reverse classification accuracy. IEEE Trans Med Imaging 36(8), 2017.",
        "kind": "article", "author": "Valindria, Vanya V. and others", "year": "2017",
        "journal": "IEEE Trans. Med. Imaging",
        "title": "Reverse classification accuracy: predicting segmentation performance in the absence of ground truth",
        "doi": "10.1109/TMI.2017.2665165",
    },
    "nikolov2021": {
        "text": "Nikolov S et al. Clinically applicable segmentation of head and neck anatomy for radiotherapy. J Med "
        "Internet Res 23(7), 2021.",
        "kind": "article", "author": "Nikolov, Stanislav and others", "year": "2021",
        "journal": "J. Med. Internet Res.",
        "title": "Clinically applicable segmentation of head and neck anatomy for radiotherapy", "doi": "10.2196/26151",
    },
    "maierhein2024": {
        "text": "Maier-Hein L, Reinke A et al. Metrics reloaded: recommendations for image analysis validation. Nat "
        "Methods 21, 2024.",
        "kind": "article", "author": "Maier-Hein, Lena and Reinke, Annika and others", "year": "2024",
        "journal": "Nature Methods", "title": "Metrics reloaded: recommendations for image analysis validation",
        "doi": "10.1038/s41592-023-02151-z",
    },
    "borges2024": {
        "text": "Borges BLC et al. Soft Dice confidence: a near-optimal confidence estimator for selective prediction "
        "in semantic segmentation. arXiv 2402.10665.",
        "kind": "misc", "author": "Borges, Bruno Laboissiere Camargos and others", "year": "2024",
        "eprint": "2402.10665",
        "title": "Soft Dice confidence: a near-optimal confidence estimator for selective prediction in semantic "
        "segmentation",
    },
    "traub2024": {
        "text": "Traub J et al. Overcoming common flaws in the evaluation of selective classification systems. "
        "NeurIPS 2024.",
        "kind": "inproceedings", "author": "Traub, Jeremias and others", "year": "2024", "booktitle": "NeurIPS",
        "title": "Overcoming common flaws in the evaluation of selective classification systems",
        "eprint": "2407.01032",
    },
    "guo2017": {
        "text": "Guo C et al. On calibration of modern neural networks. ICML 2017.",
        "kind": "inproceedings", "author": "Guo, Chuan and others", "year": "2017", "booktitle": "ICML",
        "title": "On calibration of modern neural networks",
    },
    "efron1987": {
        "text": "Efron B. Better bootstrap confidence intervals. J Am Stat Assoc 82, 1987.",
        "kind": "article", "author": "Efron, Bradley", "year": "1987", "journal": "J. Am. Stat. Assoc.",
        "title": "Better bootstrap confidence intervals", "doi": "10.1080/01621459.1987.10478410",
    },
    "clopper1934": {
        "text": "Clopper CJ, Pearson ES. The use of confidence or fiducial limits illustrated in the case of the "
        "binomial. Biometrika 26, 1934.",
        "kind": "article", "author": "Clopper, C. J. and Pearson, E. S.", "year": "1934", "journal": "Biometrika",
        "title": "The use of confidence or fiducial limits illustrated in the case of the binomial",
        "doi": "10.1093/biomet/26.4.404",
    },
    "holm1979": {
        "text": "Holm S. A simple sequentially rejective multiple test procedure. Scand J Stat 6, 1979.",
        "kind": "article", "author": "Holm, Sture", "year": "1979", "journal": "Scand. J. Stat.",
        "title": "A simple sequentially rejective multiple test procedure",
    },
    "bland1986": {
        "text": "Bland JM, Altman DG. Statistical methods for assessing agreement between two methods of clinical "
        "measurement. Lancet 327, 1986.",
        "kind": "article", "author": "Bland, J. Martin and Altman, Douglas G.", "year": "1986", "journal": "Lancet",
        "title": "Statistical methods for assessing agreement between two methods of clinical measurement",
        "doi": "10.1016/S0140-6736(86)90837-8",
    },
    "lin1989": {
        "text": "Lin LI-K. A concordance correlation coefficient to evaluate reproducibility. Biometrics 45, 1989.",
        "kind": "article", "author": "Lin, Lawrence I-Kuei", "year": "1989", "journal": "Biometrics",
        "title": "A concordance correlation coefficient to evaluate reproducibility", "doi": "10.2307/2532051",
    },
}  # fmt: skip


def bibtex(key: str) -> str:
    """Return one reference as a BibTeX entry."""
    entry = REFERENCES[key]
    fields = ", ".join(f"{name}={{{text}}}" for name, text in entry.items() if name not in ("text", "kind"))
    return f"@{entry['kind']}{{{key}, {fields}}}"
