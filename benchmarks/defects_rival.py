"""cleanvision's scores of the images in a folder, as JSON. Run it with a Python that has cleanvision and scikit-image.

python defects_rival.py FOLDER ISSUE,ISSUE,… OUTPUT        the score of each image for each issue; low is bad
python defects_rival.py --samples                          print the folder of scikit-image's sample images
"""

import json
import sys
from pathlib import Path


def scores(folder: str, issues: list[str]) -> dict[str, dict[str, float]]:
    from cleanvision import Imagelab  # type: ignore[import-not-found,unused-ignore]

    lab = Imagelab(data_path=folder)
    lab.find_issues({issue: {} for issue in issues}, n_jobs=1, verbose=False)
    columns = [f"{issue}_score" for issue in issues]
    return {
        Path(path).name: dict(zip(issues, row, strict=True))
        for path, row in zip(lab.issues.index, lab.issues[columns].to_numpy().tolist(), strict=True)
    }


def main() -> None:
    if sys.argv[1] == "--samples":
        import skimage  # type: ignore[import-not-found,unused-ignore]

        print(Path(skimage.__file__).parent / "data")
        return
    folder, issues, output = sys.argv[1:]
    Path(output).write_text(json.dumps(scores(folder, issues.split(","))), encoding="utf-8")


if __name__ == "__main__":
    main()
