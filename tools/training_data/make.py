#!/usr/bin/env python3
"""Makes pictures to train on from packages of Debian 12: photographs smoothed, photographs traced, and textures.

    python3 -m venv venv && venv/bin/pip install -r tools/training_data/requirements.txt
    venv/bin/python tools/training_data/make.py OUT --sasnet target/release/sasnet

OUT/structures/{photo,traced} and OUT/textures/{grey,colour} are what `sasnet train` takes, OUT/MANIFEST.json says of
each file where it comes from, under which licence, and how it was made. The same command goes on where it was stopped.
README.md, beside this file, says more. Beside it, too:

    photos.json     patterns of photographs by package, and the most crops of one photograph
    textures.json   patterns of textures by package, and the most textures of a pattern
    versions.txt    the packages with their versions
    reject.txt      results that are thrown away: by eye, or because they are in validation pictures
"""

import argparse
import fnmatch
import glob
import io
import json
import math
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import resvg_py
import vtracer
from PIL import Image

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
OUTPUTS = ("structures/photo", "structures/traced", "textures/grey", "textures/colour")

CROP_WIDTH, CROP_HEIGHT = 512, 384
TEXTURE_SIZE = 256
TRACINGS = 380  # photographs that are traced at most
SETTINGS = [
    ("rtv", {"lambda": 0.006, "sigma": 2}),
    ("rtv", {"lambda": 0.008, "sigma": 3}),
    ("rtv", {"lambda": 0.012, "sigma": 2.5}),
    ("rtv", {"lambda": 0.015, "sigma": 3}),
    ("l0", {"lambda": 0.008, "kappa": 2}),
    ("l0", {"lambda": 0.013, "kappa": 2}),
    ("l0", {"lambda": 0.02, "kappa": 2}),
    ("l0", {"lambda": 0.03, "kappa": 2}),
]

ARCHIVES = {".zip", ".pk3", ".wz", ".jar"}
CONTAINERS = {".rcc", ".edj", ".bin"}  # pictures lie in them as they are, one behind the other
PICTURE = re.compile(r"\.(jpe?g|png|webp|tga|bmp|gif|pat|rgb)$", re.IGNORECASE)
TEXTURE = re.compile(r"\.(jpe?g|png|tga|pat|bmp|gif|rgb)$", re.IGNORECASE)
# In names of games' textures: maps that are no colours, and pictures of things.
NOT_TEXTURE = re.compile(
    r"norm|bump|gloss|local|glow|_nm|_n\.|_s\.|spec|height|blend|light|sky|sfx|banner|sign|logo|door|trim|decal|shadow|"
    r"env|flare|font|smoke|fire|blood|icon|button|arrow|shot|jump|tele|window|screen|tree|letter|map\.|border|edge|"
    r"corner|lamp|gauge|comp|switch|step|stair|support|pipe|duct|beam|mirror|clip|nodraw|weapon|flag|lava|cloud",
    re.IGNORECASE,
)

LEAK_TEXTURE = 0.6  # greatest correlation with a validation picture's texture
LEAK_STRUCTURE = 0.97  # greatest correlation of thumbnails
# Steps of 4 %: with 8 % most copies at a scale between two of them are missed.
LEAK_SCALES = np.geomspace(0.6, 1.84, 29)


def fail(text):
    raise SystemExit(f"make.py: {text}")


def run(command, **options):
    """A program's standard output; where it fails, its last lines are the error."""
    command = [str(word) for word in command]
    environment = os.environ | {"LC_ALL": "C"}
    try:
        result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, **options)
    except OSError as error:
        fail(f"cannot run {command[0]} ({error.strerror}): this takes Debian 12 with apt")
    if result.returncode:
        last = "\n".join((result.stderr or result.stdout).strip().splitlines()[-5:])
        fail(f"{' '.join(command)} failed with exit code {result.returncode}:\n{last}")
    return result.stdout


def read_json(path, default=None):
    """What a file holds; `default` where there is none."""
    if default is not None and not path.exists():
        return default
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        fail(f"{path} is damaged ({error}): delete it, and it is made again")


def random_of(*names):
    """Random numbers that depend on names alone: a result does not depend on what else is made."""
    return np.random.default_rng(zlib.crc32(repr(names).encode()))


def grey(pixels):
    return pixels @ np.array([0.299, 0.587, 0.114], np.float32) if pixels.ndim == 3 else pixels


def name_of(package, inner):
    """The start of a result's name: the package, the file's folder, the file."""
    tail = "_".join(inner.replace(".", "_").split("/")[-2:])
    return package.split("-")[0] + "_" + re.sub(r"\W+", "_", tail)


class Output:
    """The folder that is made; `work` in it is what the next run needs to go on."""

    def __init__(self, root):
        self.root = Path(root)
        self.work = self.root / "work"
        try:
            self.work.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.work):
                pass
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            fail(f"cannot write into {self.root} ({error.strerror}): name a folder that you may write into")
        self.leaks = read_json(self.work / "leaks.json", {})

    def replace(self, path, write):
        """Lets `write` write a file elsewhere and moves it to `path` when it is complete."""
        part = self.work / f"part-{os.getpid()}"
        write(part)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, path)

    def save_json(self, path, value):
        text = json.dumps(value, indent=1, sort_keys=True) + "\n"
        self.replace(path, lambda part: part.write_text(text))

    def save_picture(self, path, pixels, form, **options):
        self.replace(path, lambda part: Image.fromarray(pixels).save(part, form, **options))

    def leaked(self, output):
        return any(checked.get(output, {}).get("dropped") for checked in self.leaks.values())

    def settled(self, output):
        """Whether nothing is to be done for an output: it is there, or was found in validation pictures."""
        return (self.root / output).exists() or self.leaked(output)

    def crop(self, name, setting):
        return self.work / "crops" / str(setting) / f"{name}.png"

    def smoothed(self, name, setting):
        return self.work / "smoothed" / str(setting) / f"{name}.png"

    def records(self):
        """What was made of each package so far."""
        return {path.stem: read_json(path) for path in sorted((self.work / "packages").glob("*.json"))}


# ------------------------------------------------------------------------------------------------------- packages


def read_versions():
    lines = (HERE / "versions.txt").read_text().splitlines()
    return dict(line.split() for line in lines if line.strip())


def choose_versions(names, listed):
    """The version to fetch of each package: the listed one, else the newest that apt knows."""
    known = {}
    for line in run(["apt-cache", "madison", *names]).splitlines():
        name, version, archive = (word.strip() for word in line.split("|"))
        if not archive.endswith("Sources"):
            known.setdefault(name, []).append(version)
    missing = [name for name in names if name not in known]
    if missing:
        fail(
            f"apt knows no package {', '.join(missing)}: run `apt-get update` on Debian 12 with `main`, "
            "or take them out of photos.json and textures.json"
        )
    chosen = {}
    for name in names:
        wanted = listed.get(name)
        chosen[name] = wanted if wanted in known[name] else known[name][0]
        if chosen[name] != wanted:
            print(f"{name}: {chosen[name]} instead of {wanted or 'no listed version'}, which apt does not have")
    return chosen


def fetch(name, version, out):
    """The folder with a package's files, and with those of archives in it."""
    folder = out.work / "unpacked" / name
    if folder.exists():
        return folder
    for left in out.work.glob("fetch-*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=out.work, prefix="fetch-") as part:
        part = Path(part)
        files = part / "files"
        run(["apt-get", "download", f"{name}={version}" if version else name], cwd=part)
        run(["dpkg-deb", "-x", next(part.glob("*.deb")), files])
        for path in sorted(files.rglob("*")):
            if path.is_file() and not path.is_symlink():
                unpack_archive(path)
        folder.parent.mkdir(exist_ok=True)
        files.rename(folder)
    return folder


def unpack_archive(path):
    """Pictures in an archive, into NAME.d beside it."""
    kind = path.suffix.lower()
    folder = Path(f"{path}.d")
    if kind in ARCHIVES and path.stat().st_size > 200_000:
        try:
            with zipfile.ZipFile(path) as archive:
                # zipfile itself keeps names within the folder.
                archive.extractall(folder, [name for name in archive.namelist() if PICTURE.search(name)])
        except zipfile.BadZipFile as error:
            print(f"  left out {path.name}: {error}")
    elif kind in CONTAINERS and path.stat().st_size > 100_000:
        folder.mkdir()
        for number, (extension, data) in enumerate(carve(path.read_bytes())):
            (folder / f"{number:04d}.{extension}").write_bytes(data)


def carve(data):
    """Yields the pictures that lie in a file as they are: (extension, bytes)."""
    marks = (("webp", b"RIFF"), ("png", b"\x89PNG\r\n"), ("jpg", b"\xff\xd8\xff"))
    ends = {"webp": end_of_webp, "png": end_of_png, "jpg": end_of_jpeg}
    at = 0
    while True:
        found = [(place, kind) for kind, mark in marks if (place := data.find(mark, at)) >= 0]
        if not found:
            return
        start, kind = min(found)
        end = ends[kind](data, start)
        # Small ones are icons.
        if end and end - start > 8000:
            yield kind, data[start:end]
        at = end or start + 3


def end_of_webp(data, start):
    if data[start + 8 : start + 12] != b"WEBP":
        return None
    return start + 8 + int.from_bytes(data[start + 4 : start + 8], "little")


def end_of_png(data, start):
    end = data.find(b"IEND", start)
    return end + 8 if end >= 0 else None


def end_of_jpeg(data, start):
    """Walks the segments to the scan: a thumbnail in one of them has an end of its own."""
    at = start + 2
    while at + 4 < len(data) and data[at + 1] != 0xDA:
        if data[at] != 0xFF:
            return None
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    end = data.find(b"\xff\xd9", at)
    return end + 2 if end >= 0 else None


class Package:
    """A package's files, with the licences that its debian/copyright tells."""

    def __init__(self, name, folder, copyright_text):
        self.name = name
        self.folder = folder
        self.rules = licence_rules(copyright_text)

    def files(self, pattern):
        """Paths in the package, without links out of it."""
        root = self.folder.resolve()
        for inner in glob.glob(pattern, root_dir=self.folder, recursive=True):
            path = self.folder / inner
            if path.is_file() and path.resolve().is_relative_to(root):
                yield inner

    def source(self, inner):
        return {"package": self.name, "file": inner, "licence": self.licence(inner)}

    def licence(self, inner):
        """The last rule that matches holds, as the format says.

        Patterns are of paths in the source, which are not those of the package: any tail of the path may match.
        """
        parts = inner.split("/")
        tails = ["/".join(parts[i:]) for i in range(len(parts))]
        best = self.rules[0][1]
        for patterns, licence in self.rules:
            # debian/ is the packaging.
            patterns = [pattern for pattern in patterns if not pattern.startswith("debian/")]
            if any(fnmatch.fnmatchcase(tail, pattern) for pattern in patterns for tail in tails):
                best = licence
        return best


def copyright_of(name, folder, versions, out):
    """The text of a package's debian/copyright, which may lie in a sister package."""
    doc = folder / "usr/share/doc" / name
    if doc.is_symlink():
        sister = Path(os.readlink(doc)).name
        folder = fetch(sister, versions.get(sister), out)
        doc = folder / "usr/share/doc" / sister
    try:
        return (doc / "copyright").read_text(errors="replace")
    except OSError as error:
        fail(f"the package {name} tells no licence ({doc / 'copyright'}: {error.strerror}): leave it out by --packages")


def licence_rules(text):
    """[(patterns, licence)] of a debian/copyright, of one rule where it is not machine-readable (DEP-5)."""
    rules = []
    for paragraph in re.split(r"\n\s*\n", text):
        fields, key = {}, None
        for line in paragraph.split("\n"):
            start = re.match(r"^([A-Za-z-]+):\s?(.*)$", line)
            if start:
                key = start[1]
                fields[key] = start[2]
            elif key and line[:1] in (" ", "\t"):
                fields[key] += "\n" + line.strip()
        if "Files" in fields and "License" in fields:
            rules.append((fields["Files"].split(), fields["License"].split("\n")[0].strip()))
    if not rules:
        common = re.search(r"common-licenses/(\S+?)['\".,)\s]", text)
        licence = common[1] if common else "see debian/copyright"
        rules = [(["*"], f"{licence} (copyright is not DEP-5)")]
    return rules


def is_free(licence):
    """Whether a licence allows commercial use and changed copies, by its name."""
    return not re.search(r"\bN[CD]\b|NONCOMM|NODERIV", licence.upper().replace("-", " "))


# ---------------------------------------------------------------------------------------------- crops of photographs


def structure_statistics(luma):
    """Share of pixels on edges, share in busy places, standard deviation; of values 0 to 255."""
    edge = (gradient(luma) > 12).astype(np.float32)
    return float(edge.mean()), float((cv2.blur(edge, (17, 17)) > 0.55).mean()), float(luma.std())


def gradient(luma):
    return np.hypot(cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1)) / 4


def thumbnail(image):
    """16x16 grey values of a picture."""
    return np.asarray(image.resize((16, 16), Image.BOX).convert("L")).ravel()


def normalised(vector):
    vector = np.asarray(vector, np.float32)
    vector = vector - vector.mean()
    return vector / (np.linalg.norm(vector) + 1e-6)


def has_holes(image, alpha, size=None):
    """Whether a picture is transparent somewhere: less than `alpha`."""
    if image.mode not in ("RGBA", "LA", "P"):
        return False
    image = image.convert("RGBA")
    return np.asarray(image.resize(size) if size else image)[..., 3].min() < alpha


def open_photo(path):
    """A photograph that a crop fits into, with its full width and height; None of another file."""
    try:
        image = Image.open(path)
        width, height = image.size
        scale = max(CROP_WIDTH / width, CROP_HEIGHT / height)
        if scale > 1.12 or path.is_symlink():
            return None
        if image.format == "JPEG":
            # Decodes large ones at a half or less.
            image.draft("RGB", (int(width * min(1, 3 * scale)), int(height * min(1, 3 * scale))))
        if has_holes(image, 250, (64, 64)):
            return None
        return image.convert("RGB"), width, height
    except Exception:  # noqa: BLE001 Pillow raises whatever its readers do, and packages hold broken files, too
        return None


def choose_window(width, height, number, most, rng):
    """Crop `number` of a photograph: (scale, left, top), pixels of the scaled picture; None where it shows little else.

    The first shows all that fits. Of a wide picture it is the left end, and the second the right.
    """
    least = max(CROP_WIDTH / width, CROP_HEIGHT / height)
    wide = width > 1.35 * height
    other_end = wide and number == 1
    scale = least if number == 0 or other_end else least * rng.uniform(1.4, 2.6)
    scale = min(scale, max(least, 1.0))
    if number and scale < 1.25 * least and not other_end:
        return None
    room_x = max(round(width * scale), CROP_WIDTH) - CROP_WIDTH
    room_y = max(round(height * scale), CROP_HEIGHT) - CROP_HEIGHT
    if scale == least and most > 1 and wide:
        left = 0 if number == 0 else room_x
    else:
        left = int(rng.integers(room_x + 1))
    return scale, left, int(rng.integers(room_y + 1))


def cut(photo, window):
    """The pixels of a window, 512x384."""
    image, width, height = photo
    scale, left, top = window
    fx = image.width / max(round(width * scale), CROP_WIDTH)
    fy = image.height / max(round(height * scale), CROP_HEIGHT)
    right = min((left + CROP_WIDTH) * fx, image.width)
    bottom = min((top + CROP_HEIGHT) * fy, image.height)
    box = (left * fx, top * fy, right, bottom)
    return np.asarray(image.resize((CROP_WIDTH, CROP_HEIGHT), Image.LANCZOS, box=box))


def is_photograph(pixels):
    """Whether a crop is neither nearly empty nor drawn in flat colours."""
    luma = grey(pixels.astype(np.float32))
    flat = (np.abs(np.diff(luma, axis=1)) < 0.01).mean()
    edges, _, deviation = structure_statistics(luma)
    return deviation >= 16 and flat <= 0.35 and edges >= 0.02


def make_crops(package, chosen, seen, rejected, limit, out):
    """Crops of a package's photographs, once each: {name: entry}, and their thumbnails."""
    crops, thumbnails = {}, []
    for inner in sorted({inner for pattern in chosen["files"] for inner in package.files(pattern)}):
        if len(crops) >= limit:
            break
        photo = open_photo(package.folder / inner)
        if photo is None or not is_free(package.licence(inner)):
            continue
        small = thumbnail(photo[0])
        vector = normalised(small)
        if seen and max(np.array(seen) @ vector) > 0.98:
            continue
        seen.append(vector)
        thumbnails.append(small.tolist())
        rng = random_of("crop", package.name, inner.rsplit("/", 1)[-1])
        for number in range(chosen["crops"]):
            window = choose_window(*photo[1:], number, chosen["crops"], rng)
            name = f"{name_of(package.name, inner)}_{number}"
            if window is None or name in rejected or name in crops:
                continue
            pixels = cut(photo, window)
            if not is_photograph(pixels):
                continue
            setting = int(random_of("setting", name).integers(len(SETTINGS)))
            out.save_picture(out.crop(name, setting), pixels, "PNG", compress_level=1)
            where = {"scale": round(window[0], 4), "left": window[1], "top": window[2]}
            crops[name] = {"source": package.source(inner), "crop": where, "setting": setting}
    return crops, thumbnails


# ---------------------------------------------------------------------------------------------------------- textures


def blur(pixels, sigma, border):
    radius = int(3 * sigma) + 1
    padding = [(radius, radius), (radius, radius)] + [(0, 0)] * (pixels.ndim - 2)
    blurred = cv2.GaussianBlur(np.pad(pixels, padding, mode=border), (0, 0), sigma)
    return blurred[radius : radius + pixels.shape[0], radius : radius + pixels.shape[1]]


def wavelength(luma):
    """The wavelength in pixels below which 85 % of the power lies."""
    power = np.abs(np.fft.fft2(luma - luma.mean())) ** 2
    frequency = np.hypot(np.fft.fftfreq(luma.shape[0])[:, None], np.fft.fftfreq(luma.shape[1])[None]).ravel()
    order = np.argsort(frequency)
    total = np.cumsum(power.ravel()[order])
    return 1 / max(frequency[order][np.searchsorted(total, 0.15 * total[-1])], 1e-3)


def repeats(luma):
    """Whether the ends fit together: the step there is no larger than steps within."""
    across = np.percentile(np.abs(np.diff(luma, axis=1)).mean(0), 90) + 1e-6
    down = np.percentile(np.abs(np.diff(luma, axis=0)).mean(1), 90) + 1e-6
    seam_across = np.abs(luma[:, 0] - luma[:, -1]).mean() / across
    seam_down = np.abs(luma[0] - luma[-1]).mean() / down
    return max(seam_across, seam_down) < 1.4


def is_even(luma, deviation):
    """Whether a texture is fine and the same all over."""
    blocks = luma.reshape(4, 64, 4, 64).std((1, 3))
    if blocks.std() / blocks.mean() > 0.22 or blocks.min() < 0.6 * blocks.mean():
        return False
    large_structure = cv2.GaussianBlur(luma, (0, 0), 6).std() / deviation
    empty = (np.abs(luma - np.median(luma)) < 0.12 * deviation).mean()
    few_marks = np.mean((luma / deviation) ** 4)
    return large_structure <= 0.42 and empty <= 0.35 and few_marks <= 9


def flatten(pixels, tiles):
    """256x256 without large structure, mean 128, standard deviation towards 30; None if it is no fine, even texture."""
    fine = pixels - blur(pixels, 16, "wrap" if tiles else "reflect")
    times = [math.ceil(TEXTURE_SIZE / size) if tiles else 1 for size in fine.shape[:2]]
    fine = np.tile(fine, (*times, 1))[:TEXTURE_SIZE, :TEXTURE_SIZE]
    if fine.shape[:2] != (TEXTURE_SIZE, TEXTURE_SIZE):
        return None
    fine = fine - fine.mean((0, 1))
    luma = grey(fine)
    deviation = luma.std()
    if deviation < 5 or not is_even(luma, deviation):
        return None
    gain = np.clip(30 / deviation, 0.5, 2.2)
    if gain * deviation < 9:
        return None
    texture = 128 + gain * fine
    if ((texture < 0) | (texture > 255)).mean() > 0.03:
        texture = 128 + 0.75 * gain * fine
    return np.rint(np.clip(texture, 0, 255)).astype(np.uint8)


def spectrum(texture):
    """Of a texture at a quarter of its size; the product of two tells how alike they are at any shift."""
    small = cv2.resize(grey(texture.astype(np.float32)) - 128, (64, 64), interpolation=cv2.INTER_AREA)
    return np.fft.rfft2(small) / (np.linalg.norm(small) + 1e-6)


def open_texture(path):
    """A picture's values as floating-point numbers; None of one of another size, with holes, or that cannot be read."""
    try:
        image = Image.open(path)
        if min(image.size) < 48 or max(image.size) > 4100 or has_holes(image, 200):
            return None
        return np.asarray(image.convert("RGB")).astype(np.float32)
    except Exception:  # noqa: BLE001 as for photographs
        return None


def textures_of(pixels):
    """Yields textures of a picture: (scale, whether it repeats, texture), with waves of 18 and of 10 pixels at most."""
    tiles = repeats(grey(pixels))
    least = min(pixels.shape[:2])
    if least > 1100:
        pixels = cv2.resize(pixels, None, fx=1024 / least, fy=1024 / least, interpolation=cv2.INTER_AREA)
    luma = grey(pixels)
    waves = wavelength(luma - blur(luma, min(luma.shape) / 8, "wrap" if tiles else "reflect"))
    for wanted in (18, 10):
        scale = min(1.0, wanted / waves)
        if not tiles and min(luma.shape) * scale < TEXTURE_SIZE:
            scale = (TEXTURE_SIZE + 0.5) / min(luma.shape)
        if scale > 1 or waves * scale > 26:
            continue
        size = [max(24, round(length * scale)) for length in (luma.shape[1], luma.shape[0])]
        texture = flatten(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), tiles)
        if texture is not None:
            yield scale, tiles, texture


def make_textures(package, patterns, seen, rejected, limit, out):
    """Textures of a package, none like another: {output: entry}.

    Those of reject.txt count, too: otherwise others would take their places, which nobody has looked at.
    """
    entries = {}
    for pattern, most in patterns.items():
        files = [inner for inner in package.files(pattern) if TEXTURE.search(inner)]
        files = [inner for inner in files if not NOT_TEXTURE.search(inner.rsplit("/", 1)[-1])]
        # In a shuffled order, which is always the same: names of a folder go by subject.
        files.sort(key=lambda inner: zlib.crc32(f"{package.name}/{inner}".encode()))
        most = min(len(entries) + most, limit)
        for inner in files:
            if len(entries) >= most:
                break
            # The validation pictures' textures are those of UFO: Alien Invasion.
            if is_free(package.licence(inner)) and "ufo" not in inner.lower():
                entries |= make_textures_of(package, inner, seen, rejected, out)
    return {output: entry for output, entry in entries.items() if entry}


def make_textures_of(package, inner, seen, rejected, out):
    """Two textures of a file at most, of scales that differ: {output: entry, or None of one that is rejected}."""
    entries = {}
    pixels = open_texture(package.folder / inner)
    if pixels is None:
        return entries
    last_scale = math.inf
    for scale, tiles, texture in textures_of(pixels):
        name = f"{name_of(package.name, inner)}_{round(100 * scale):03d}"
        if scale > 0.7 * last_scale:
            continue
        waves = spectrum(texture)
        if seen and np.fft.irfft2(np.array(seen) * np.conj(waves)).max() > 0.8:
            continue
        seen.append(waves)
        last_scale = scale
        colour = np.abs(texture.astype(int) - texture.mean(2, keepdims=True)).mean()
        if colour < 2.5 or zlib.crc32(name.encode()) % 8 == 0:
            texture = np.rint(grey(texture.astype(np.float32))).astype(np.uint8)
        output = f"textures/{'grey' if texture.ndim == 2 else 'colour'}/{name}.webp"
        if name in rejected:
            entries[output] = None
            continue
        out.save_picture(out.root / output, texture, "WEBP", quality=90, method=4)
        how = f"scaled by {scale:.3f}, flattened (Gaussian of 16 px subtracted), mean 128"
        entries[output] = {"sources": [package.source(inner)], "how": how + ("; repeats" if tiles else "")}
    return entries


# ------------------------------------------------------------------------------------------------- package by package


def is_done(record, limit, name, out):
    """Whether nothing is left to be made of a package."""
    if record is None:
        return False
    if record["limit"] != limit:
        fail(f"{out.root} was begun with --limit {record['limit']}: go on with that, or name another folder")
    crops = all(out.crop(crop, entry["setting"]).exists() for crop, entry in record["crops"].items())
    return crops and all(out.settled(output) for output in record["textures"])


def make_packages(names, rejected, limit, keep, out):
    """Fetches packages, and makes their crops and textures; one at a time, as all of them take much room."""
    photos, textures = read_json(HERE / "photos.json"), read_json(HERE / "textures.json")
    records = out.records()
    todo = [name for name in names if not is_done(records.get(name), limit, name, out)]
    if not todo:
        return
    versions = read_versions()
    versions |= choose_versions(todo, versions)
    kept = [record for name, record in records.items() if name not in todo]
    seen_photos = [normalised(small) for record in kept for small in record["thumbnails"]]
    present = [out.root / output for record in kept for output in record["textures"]]
    seen_textures = [spectrum(np.asarray(Image.open(path).convert("RGB"))) for path in present if path.exists()]
    for number, name in enumerate(todo, 1):
        print(f"[{number}/{len(todo)}] {name} {versions[name]}", end="", flush=True)
        folder = fetch(name, versions[name], out)
        package = Package(name, folder, copyright_of(name, folder, versions, out))
        record = {"version": versions[name], "limit": limit, "crops": {}, "thumbnails": [], "textures": {}}
        if name in photos:
            made = make_crops(package, photos[name], seen_photos, rejected, limit or math.inf, out)
            record["crops"], record["thumbnails"] = made
        if name in textures:
            of_package = textures[name]
            record["textures"] = make_textures(package, of_package, seen_textures, rejected, limit or math.inf, out)
        out.save_json(out.work / "packages" / f"{name}.json", record)
        print(f": {len(record['crops'])} crops, {len(record['textures'])} textures", flush=True)
        if not keep:
            shutil.rmtree(out.work / "unpacked")


# ---------------------------------------------------------------------------------------------- smoothed photographs


def smooth(crops, sasnet, out):
    """Smooths crops by filters, each by the one that its name chose."""
    for setting, (method, values) in enumerate(SETTINGS):
        names = [name for name, entry in crops.items() if entry["setting"] == setting]
        names = [name for name in names if not out.smoothed(name, setting).exists()]
        if not names:
            continue
        text = " ".join(f"{key}={value}" for key, value in values.items())
        print(f"smoothing {setting + 1}/{len(SETTINGS)}: {method} {text}, {len(names)} crops", flush=True)
        command = [sasnet, "smooth", "--adapter", "cpu", "-q", "--skip-existing", "--png-effort", "fast"]
        command += ["--method", method, *(f"--set={key}={value}" for key, value in values.items())]
        run([*command, out.work / "crops" / str(setting), "-o", out.work / "smoothed" / str(setting)])


def is_smooth(pixels):
    """Whether a smoothed photograph is a structure: neither busy nor empty, without fine detail between its edges."""
    luma = grey(pixels.astype(np.float32))
    edges, busy, deviation = structure_statistics(luma)
    detail = np.abs(luma - cv2.GaussianBlur(luma, (0, 0), 1.5))
    calm = cv2.dilate((gradient(luma) > 14).astype(np.uint8), np.ones((5, 5))) == 0
    left = detail[calm].mean() if calm.any() else math.inf
    return busy <= 0.08 and 0.012 <= edges <= 0.26 and deviation >= 14 and left <= 1.1


def pick_photos(crops, out):
    """Smoothed photographs that are good enough: {output: entry, or None of one that is not}."""
    path = out.work / "photo.json"
    before = read_json(path, {})
    entries = dict(before)
    for name, crop in crops.items():
        output = f"structures/photo/{name}.webp"
        if output in before and (before[output] is None or out.settled(output)):
            continue
        pixels = np.asarray(Image.open(out.smoothed(name, crop["setting"])).convert("RGB"))
        method, values = SETTINGS[crop["setting"]]
        how = f"{method} " + " ".join(f"{key}={value}" for key, value in values.items())
        entries[output] = None
        if is_smooth(pixels):
            out.save_picture(out.root / output, pixels, "WEBP", quality=90, method=4)
            entries[output] = {"sources": [crop["source"]], "crop": crop["crop"], "how": how}
    if entries != before:
        out.save_json(path, entries)
    return entries


# ----------------------------------------------------------------------------------------------------------- tracings


def trace(pixels, name):
    """A picture of flat areas, and how it was made: traced to an SVG with few colours, and drawn again."""
    rng = random_of("trace", name)
    before = rng.choice(["none", "bilateral", "bilateral"])
    if before == "bilateral":
        pixels = cv2.bilateralFilter(cv2.bilateralFilter(pixels, 7, 30, 3), 7, 30, 3)
    colours = int(rng.integers(10, 60)) if rng.random() < 0.6 else 0
    if colours:
        reduced = Image.fromarray(pixels).quantize(colours, Image.MEDIANCUT, kmeans=1, dither=Image.Dither.NONE)
        pixels = np.asarray(reduced.convert("RGB"))
    options = {
        "color_precision": int(rng.integers(5 if colours else 4, 8)),
        "filter_speckle": int(rng.integers(5, 17)),
        "layer_difference": int(rng.integers(16, 49)),
        "mode": str(rng.choice(["spline", "spline", "polygon"])),
        "corner_threshold": int(rng.integers(40, 100)),
    }
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    svg = vtracer.convert_raw_image_to_svg(
        file.getvalue(), img_format="png", colormode="color", hierarchical="stacked", path_precision=2, **options
    )
    drawn = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg))))
    drawn = np.asarray(drawn.convert("RGBA"))
    # Between areas that do not quite meet the picture itself shows.
    alpha = drawn[..., 3:] / 255.0
    under = pixels[: drawn.shape[0], : drawn.shape[1]]
    traced = (drawn[..., :3] * alpha + under * (1 - alpha)).round().astype(np.uint8)
    how = f"vtracer {options}, before: {before}" + (f", {colours} colours" if colours else "")
    return traced, how


def tracing_jobs(crops, also, out):
    """[(name, picture, crop or None)]: crops, and the pictures of a folder."""
    names = sorted(crops, key=lambda name: zlib.crc32(b"t" + name.encode()))[:TRACINGS]
    jobs = [(name, out.crop(name, crops[name]["setting"]), crops[name]) for name in names]
    if also:
        jobs += [(f"natural_{path.stem}", path, None) for path in sorted(also.glob("*.png"))]
    return jobs


def make_tracings(crops, also, rejected, out):
    """Tracings that are good enough: {output: entry, or None of one that is not}."""
    path = out.work / "traced.json"
    entries = read_json(path, {})
    jobs = {f"structures/traced/trace_{job[0]}.webp": job for job in tracing_jobs(crops, also, out)}
    jobs = {output: job for output, job in jobs.items() if f"trace_{job[0]}" not in rejected}
    jobs = {
        output: job
        for output, job in jobs.items()
        if output not in entries or (entries[output] and not out.settled(output))
    }
    for number, (output, (name, picture, crop)) in enumerate(jobs.items(), 1):
        pixels, how = trace(np.asarray(Image.open(picture).convert("RGB")), name)
        edges, busy, deviation = structure_statistics(grey(pixels.astype(np.float32)))
        entries[output] = None
        if busy <= 0.12 and 0.02 <= edges <= 0.3 and deviation >= 14:
            out.save_picture(out.root / output, pixels, "WEBP", lossless=True, quality=60, method=3)
            if crop:
                entries[output] = {"sources": [crop["source"]], "crop": crop["crop"], "how": how}
            else:
                source = {"package": "", "file": picture.name, "licence": "that of the picture"}
                entries[output] = {"sources": [source], "how": how}
        if number % 20 == 0 or number == len(jobs):
            print(f"traced {number}/{len(jobs)}", flush=True)
            out.save_json(path, entries)
    return entries


# -------------------------------------------------------------------------------------------------------------- leaks


def validation_textures(folder):
    """The least clipped 128x128 of each texture in validation pictures: what an input has that its truth has not."""
    patches = {}
    for path in sorted(folder.glob("*/input/*_T*.png")):
        stem, number = path.stem.rsplit("_", 1)
        truth = path.parent.parent / "gt" / f"{stem}.png"
        patches.setdefault(f"{path.parent.parent.name}/{number}", []).append((path, truth))
    return {key: least_clipped(pairs[:4]) for key, pairs in patches.items()}


def least_clipped(pairs):
    best, least = None, math.inf
    for path, truth in pairs:
        pixels = np.asarray(Image.open(path).convert("RGB")).astype(np.float32)
        texture = grey(pixels - np.asarray(Image.open(truth).convert("RGB")).astype(np.float32))
        clipped = ((pixels <= 0) | (pixels >= 255)).any(2)
        for top in range(0, texture.shape[0] - 128, 32):
            for left in range(0, texture.shape[1] - 128, 32):
                share = clipped[top : top + 128, left : left + 128].mean()
                if share < least:
                    best, least = texture[top : top + 128, left : left + 128], share
    return best


def scaled_patch(patch, scale, size):
    """A patch as a texture of that scale would show it, at `size` of the texture's size."""
    if scale <= 1.4:
        patch = patch[32:96, 32:96]
    factor = size / scale
    return cv2.resize(patch, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)[:128, :128]


def match(texture, patches):
    """The greatest correlation of a texture with patches: first at half the size, near the limit at the full one."""
    texture = np.pad(texture, ((0, 64), (0, 64)), mode="wrap")
    half = cv2.resize(texture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    best = (0.0, "nothing")
    for label, small, full in patches:
        correlation = cv2.matchTemplate(half, small, cv2.TM_CCOEFF_NORMED).max()
        if correlation > 0.5:
            correlation = cv2.matchTemplate(texture, full, cv2.TM_CCOEFF_NORMED).max()
        best = max(best, (float(correlation), label))
    return best


def drop_leaks(outputs, validation, out):
    """Compares outputs with validation pictures, and deletes those that are in them."""
    checked = out.leaks.setdefault(str(validation.resolve()), {})
    todo = [output for output in outputs if output not in checked]
    if todo:
        patches = [
            (f"{key} at scale {scale:.2f}", scaled_patch(patch, scale, 0.5), scaled_patch(patch, scale, 1))
            for key, patch in validation_textures(validation).items()
            for scale in LEAK_SCALES
        ]
        truths = sorted(validation.glob("*/gt/*.png"))
        vectors = np.stack([normalised(thumbnail(Image.open(path))) for path in truths])
    for number, output in enumerate(todo, 1):
        image = Image.open(out.root / output)
        if output.startswith("textures/"):
            limit = LEAK_TEXTURE
            correlation, like = match(np.asarray(image.convert("L")).astype(np.float32), patches)
        else:
            limit = LEAK_STRUCTURE
            alike = vectors @ normalised(thumbnail(image))
            correlation, like = float(alike.max()), truths[int(alike.argmax())].name
        checked[output] = {"correlation": round(correlation, 4), "like": like, "dropped": correlation > limit}
        if number % 50 == 0 or number == len(todo):
            print(f"compared with validation pictures: {number}/{len(todo)}", flush=True)
            out.save_json(out.work / "leaks.json", out.leaks)
    for output in outputs:
        if checked[output]["dropped"]:
            print(f"dropped {output}: {checked[output]['correlation']} like {checked[output]['like']}")
            (out.root / output).unlink(missing_ok=True)
    for kind in ("structures", "textures"):
        left = [(found["correlation"], output) for output, found in checked.items() if not found["dropped"]]
        best = max((pair for pair in left if pair[1].startswith(kind)), default=None)
        if best:
            print(f"{kind}: greatest correlation with validation pictures {best[0]:.3f} ({best[1]})")


# --------------------------------------------------------------------------------------------------------------- main


def check_sasnet(path):
    if not shutil.which(path):
        fail(f"there is no program {path}: build it (cargo build --release), or name another: --sasnet PATH")
    run([path, "--version"])


def check_folder(path, option, pattern):
    if path and not next(path.glob(pattern), None):
        fail(f"{option} {path}: there is no {path / pattern}")


def parse_arguments():
    # In the order of the files: of two textures that are alike the first is taken.
    names = list(dict.fromkeys([*read_json(HERE / "photos.json"), *read_json(HERE / "textures.json")]))
    parser = argparse.ArgumentParser(
        description="Makes pictures to train on from packages of Debian 12. The same command goes on where it stopped."
    )
    parser.add_argument("out", metavar="OUT", help="folder to make, or to go on with")
    parser.add_argument("--packages", nargs="+", metavar="NAME", default=names, help="take these packages alone")
    parser.add_argument("--validation", type=Path, metavar="DIR", help="drop what is in DIR/*/{input,gt}/*.png")
    parser.add_argument("--trace-also", type=Path, metavar="DIR", help="trace DIR/*.png, too")
    parser.add_argument(
        "--sasnet",
        metavar="PATH",
        default=os.environ.get("SASNET", str(REPOSITORY / "target/release/sasnet")),
        help="the program, which smooths [default: $SASNET, else target/release/sasnet]",
    )
    parser.add_argument("--keep-unpacked", action="store_true", help="keep the packages' files")
    parser.add_argument("--limit", type=int, metavar="N", help="take some N crops and N textures a package, for a try")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.packages if name not in names]
    if unknown:
        fail(
            f"--packages {' '.join(unknown)}: not in photos.json or textures.json, which list {', '.join(sorted(names))}"
        )
    return arguments


def main():
    arguments = parse_arguments()
    check_sasnet(arguments.sasnet)
    check_folder(arguments.validation, "--validation", "*/input/*_T*.png")
    check_folder(arguments.validation, "--validation", "*/gt/*.png")
    check_folder(arguments.trace_also, "--trace-also", "*.png")
    out = Output(arguments.out)
    rejected = set((HERE / "reject.txt").read_text().split())
    wanted = list(dict.fromkeys(arguments.packages))
    make_packages(wanted, rejected, arguments.limit, arguments.keep_unpacked, out)

    records = out.records()
    crops = {name: entry for record in records.values() for name, entry in record["crops"].items()}
    smooth(crops, arguments.sasnet, out)
    files = pick_photos(crops, out)
    files = files | make_tracings(crops, arguments.trace_also, rejected, out)
    for record in records.values():
        files |= record["textures"]
    files = {output: entry for output, entry in files.items() if entry and not out.leaked(output)}
    if arguments.validation:
        drop_leaks(files, arguments.validation, out)
        files = {output: entry for output, entry in files.items() if not out.leaked(output)}
    else:
        print("not compared with validation pictures: --validation DIR does it")
    packages = {name: record["version"] for name, record in records.items()}
    manifest = out.root / "MANIFEST.json"
    value = {"packages": packages, "files": files}
    if read_json(manifest, {}) != value:
        out.save_json(manifest, value)
    for folder in OUTPUTS:
        print(f"{sum(output.startswith(folder) for output in files)} pictures in {out.root / folder}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        fail("stopped; the same command goes on")
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
