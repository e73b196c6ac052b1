"""Layouts of a dataset's files, each with as many empty files as are asked for."""

FORMS = {
    "a folder for images, a folder for labels": (
        {"image": "image/{case}.nii.gz", "label": "label/{case}.nii.gz"},
        lambda c: (f"image/{c}.nii.gz", f"label/{c}.nii.gz"),
    ),
    "labels anywhere": (
        {"image": "image/{case}.png", "label": "**/masks/{case}.png"},
        lambda c: (f"image/{c}.png", f"x/masks/{c}.png"),
    ),
    "labels with an ending": (
        {"image": "image/{case}.nii.gz", "label": "label/{case}_s*.nii.gz"},
        lambda c: (f"image/{c}.nii.gz", f"label/{c}_s1.nii.gz"),
    ),
    "a label by what begins with the case": (
        {"image": "image/{case}.nii.gz", "label": "label/{case}*.nii.gz"},
        lambda c: (f"image/{c}.nii.gz", f"label/{c}-final.nii.gz"),
    ),
    "BIDS": (
        {"bids": "T1w"},
        lambda c: (f"sub-{c}/anat/sub-{c}_T1w.nii.gz", f"derivatives/m/sub-{c}/anat/sub-{c}_desc-x_dseg.nii.gz"),
    ),
    "a folder for each case": (
        {"image": "{case}/mr", "label": "{case}/seg/*.dcm"},
        lambda c: (f"{c}/mr/1.dcm", f"{c}/seg/1.dcm"),
    ),
    "patients and cases": (
        {"image": "{patient}/**/{case}_t1.nii", "label": "labels/{patient}/{case}.nii"},
        lambda c: (f"p{c}/s/{c}_t1.nii", f"labels/p{c}/{c}.nii"),
    ),
    "nnU-Net": (
        {"image": "imagesTr/{case}_0000.nii.gz", "label": "labelsTr/{case}.nii.gz"},
        lambda c: (f"imagesTr/{c}_0000.nii.gz", f"labelsTr/{c}.nii.gz"),
    ),
}  # fmt: skip


def make(root, form, count):
    for n in range(count):
        for name in FORMS[form][1](f"{n:04}"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
    return root
