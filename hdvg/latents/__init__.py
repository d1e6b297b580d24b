"""The training cache: clips as latents and captions as token states, made once and read from memory-mapped files."""

from hdvg.registry import Registry

# name -> "module:Class". The module imports nothing heavy at its top; the class has
#   `needs`                  modules it cannot work without -> what people call them
#   `files(encoding, root)`  a static method: the files and folders that shape its numbers; UsageError if one is absent
#   `Class(encoding, files, name=…)`  a `Codec` or a `TextEncoder` of `hdvg.latents.encoders`
CODECS: dict[str, str] = {
    "patches": "hdvg.latents.patches:Patches",
    "taef2": "hdvg.latents.taef2:Taef2",
    "vae": "hdvg.latents.vae:Vae",
}
TEXTS: dict[str, str] = {
    "minilm": "hdvg.latents.minilm:MiniLmStates",
    "clip": "hdvg.latents.clip:ClipStates",
}

CODEC = Registry(
    called="codec", group="hdvg.codecs", setting="data.codec", classes=CODECS, extra="train",
    methods=("encode", "decode"), attributes=("name", "channels"),
)  # fmt: skip
TEXT = Registry(
    called="text encoder", group="hdvg.text_encoders", setting="data.text", classes=TEXTS, extra="train",
    methods=("states",), attributes=("name", "shape"),
)  # fmt: skip
"""Where encoders are found; a plug-in's class may do without `needs`, `files` and `posterior`."""
