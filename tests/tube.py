"""A stand-in, made by us, of the large video site as the installed yt-dlp's extractor asks it: page, player, script, media.

Its player script has the one shape that yt-dlp's solver takes. A format's link holds a challenge `n` and a scrambled
signature; media is given only for the link with both solved, 403 for any other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from tests.servers import Answer, HostileServer, _Handler, body, page, status

SITE, MEDIA = "www.youtube.com", "rr1---sn-standin.googlevideo.com"
PLAYER = "/s/player/0badcafe/player_ias.vflset/en_US/base.js"
SIGNATURE = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
CHALLENGE = "Zq3-xYw8KpLm_T0v"

PLAYER_JS = """var _standin={};(function(g){"use strict";
var removed = "the solver leaves the first statement out";
var config = {signatureTimestamp:20123};
var steps = {
  turn: function(a) { a.reverse() },
  drop: function(a, b) { a.splice(0, b) },
  swap: function(a, b) { var c = a[0]; a[0] = a[b % a.length]; a[b % a.length] = c }
};
var unscramble = function(a) {
  a = a.split(""); steps.swap(a, 11); steps.drop(a, 2); steps.turn(a); steps.swap(a, 5); return a.join("")
};
class Address {
  constructor(text) { this.parts = {}; this.text = text }
  set(key, value) { this.parts[key] = value }
  get(key) { return this.parts[key] }
  clone() { return this }
  settle() {
    var n = this.parts.n || "", out = "";
    for (var i = 0; i < n.length; i++) out += String.fromCharCode(97 + (n.charCodeAt(i) * 7 + i) % 26);
    this.parts.n = out
  }
}
var make = function(text, name, sig) {
  var o = new Address(text);
  o.set("alr", "yes");
  if (sig) { o.set(name, encodeURIComponent(unscramble(decodeURIComponent(sig)))) }
  return o
};
g.make = make;
})(_standin);
"""


def solved_n(n: str) -> str:
    """What the player script makes of a challenge, in Python."""
    return "".join(chr(97 + (ord(char) * 7 + place) % 26) for place, char in enumerate(n))


def solved_signature(text: str) -> str:
    """What the player script makes of a signature, in Python."""
    chars = list(text)
    chars[0], chars[11 % len(chars)] = chars[11 % len(chars)], chars[0]
    del chars[:2]
    chars.reverse()
    chars[0], chars[5 % len(chars)] = chars[5 % len(chars)], chars[0]
    return "".join(chars)


@dataclass
class Tube:
    """The site on a server: `Tube(server, {video id: file bytes})`; `refused` are the links of media that were not solved."""

    server: HostileServer
    videos: dict[str, bytes]
    player_js: str = PLAYER_JS
    only_images: bool = False
    refused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        routes: dict[str, Answer] = {
            "/watch": self._watch,
            "/tv": page(self._config()),
            "/iframe_api": body(b"var scriptUrl = 'https:\\/\\/www.youtube.com\\/s\\/player\\/0badcafe\\/x.js'", "text/plain"),
            "/youtubei/v1/player": self._player,
            PLAYER: lambda handler: body(self.player_js.encode(), "text/javascript")(handler),
            "/videoplayback": self._media,
        }  # fmt: skip
        self.server.routes |= routes

    def _config(self) -> str:
        said = {
            "PLAYER_JS_URL": PLAYER,
            "STS": 20123,
            "INNERTUBE_CONTEXT": {"client": {"visitorData": "dmlzaXRvcg%3D%3D"}},
        }
        return f"<script>ytcfg.set({json.dumps(said)});</script>"

    def _watch(self, handler: _Handler) -> None:
        video = parse_qs(urlsplit(handler.path).query)["v"][0]
        said = {
            "ytInitialPlayerResponse": self._response(video),
            "ytInitialData": {"contents": {"twoColumnWatchNextResults": {}}},
        }
        scripts = "".join(f"<script>var {name} = {json.dumps(value)};</script>" for name, value in said.items())
        page(self._config() + scripts)(handler)

    def _player(self, handler: _Handler) -> None:
        video = json.loads(handler.posted)["videoId"]
        body(json.dumps(self._response(video)).encode(), "application/json")(handler)

    def _response(self, video: str) -> dict[str, Any]:
        if video not in self.videos:
            return {
                "playabilityStatus": {"status": "ERROR", "reason": "Video unavailable"},
                "videoDetails": {"videoId": video},
            }
        boards = f"https://{MEDIA}/sb/{video}/storyboard3_L$L/$N.jpg|48#27#2#2#1#0#default#rs$abc"
        return {
            "playabilityStatus": {"status": "OK"},
            "videoDetails": {
                "videoId": video,
                "title": "A stand-in film",
                "lengthSeconds": "2",
                "channelId": "UC" + "x" * 22,
            },
            "microformat": {"playerMicroformatRenderer": {"category": "Education", "uploadDate": "2020-02-02"}},
            "storyboards": {"playerStoryboardSpecRenderer": {"spec": boards}},
            "streamingData": {
                "expiresInSeconds": "21540",
                "adaptiveFormats": [] if self.only_images else self._formats(video),
            },
        }

    def _formats(self, video: str) -> Sequence[dict[str, Any]]:
        link = f"https://{MEDIA}/videoplayback?{urlencode({'id': video, 'itag': 136, 'n': CHALLENGE})}"
        return [
            {
                "itag": 136,
                "mimeType": 'video/mp4; codecs="avc1.4d401f"',
                "width": 1280,
                "height": 720,
                "fps": 25,
                "bitrate": 100_000,
                "quality": "hd720",
                "qualityLabel": "720p",
                "contentLength": str(len(self.videos[video])),
                "approxDurationMs": "2000",
                "signatureCipher": f"s={quote(SIGNATURE)}&sp=sig&url={quote(link, safe='')}",
            }
        ]

    def _media(self, handler: _Handler) -> None:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(handler.path).query).items()}
        if asked.get("n") != solved_n(CHALLENGE) or asked.get("sig") != solved_signature(SIGNATURE):
            self.refused.append(handler.path)
            return status(403)(handler)
        return body(self.videos[asked["id"]])(handler)
