"""`videos`: what was fetched for each link, and what its one decode pass found."""

import pyarrow as pa

from schemas.columns import BOOL, INT, REAL, STR, column

CHAPTER = pa.struct([("start_s", REAL), ("end_s", REAL), ("title", STR)])
LINE = pa.struct([("start_s", REAL), ("end_s", REAL), ("text", STR), ("word_starts_s", pa.list_(REAL))])

FETCHED = [
    column("sha256", STR, "hash of the source file, or of the excerpt that was fetched of it: its name in media/"),
    column("bytes", INT, "size of that file"),
    column("title", STR, "title at the source, e-mail addresses and names of its makers masked"),
    column("licence", STR, "licence as the source states it"),
    column(
        "licence_class",
        STR,
        "`cc0`, `public-domain`, `cc-by`, `cc-by-sa`, `cc-by-nc`, `cc-by-nc-sa`, `cc-by-nd`, `cc-by-nc-nd`, `other`, "
        "or `unknown` if the source states none",
    ),
    column("open_licence", BOOL, "whether `licence_class` allows copies and changes for any purpose: the first four"),
    column("uploader_id", STR, "the source's id of the channel; of a handle or a name only a hash is kept"),
    column("upload_date", STR, "YYYYMMDD as the source states it"),
    column("categories", pa.list_(pa.string()), "categories as the source states them"),
    column("extractor", STR, "the yt-dlp extractor that read the link, or `local`"),
    column("format_id", STR, "the format that was chosen"),
    column("format_choice", STR, "why this of the source's formats was fetched, and what else there was", later=True),
    column("webpage_url", STR, "the page, as the extractor names it; names and handles in it are `_`"),
    column("info_duration_s", REAL, "length as the source states it; not trusted"),
    column("yt_dlp_version", STR, "version of yt-dlp; null for local files"),
    column("language", STR, "BCP 47 tag of the language that is spoken, as the source states it", later=True),
    column(
        "chapters",
        pa.list_(CHAPTER),
        "chapters as the source states them, seconds of the player's clock; names of its makers masked; null if it states none",
        later=True,
    ),
    column(
        "subtitles",
        pa.list_(LINE),
        "lines of the one track of subtitles that was fetched, seconds of the player's clock, names of the video's makers masked; "
        "`word_starts_s` has a time for each word where the site tells them; up to 20,000 lines and a million characters",
        later=True,
    ),
    column("subtitles_language", STR, "BCP 47 tag of the track, as the source states it", later=True),
    column(
        "subtitles_origin",
        STR,
        "`manual`: somebody wrote the subtitles; `automatic`: the site's speech recognition did",
        later=True,
    ),
    column(
        "subtitles_note",
        STR,
        "why there are none though they were asked for: `not_offered`, `unreadable`, or a reason of failures; or `truncated`",
        later=True,
    ),
    column("fetched_at", STR, "UTC time of the fetch, or of the last try that failed", volatile=True),
    column(
        "fetched_ranges",
        pa.list_(pa.struct({"start": pa.int64(), "until": pa.int64(), "kind": pa.string()})),
        "what was fetched of the source, `until` exclusive, of `kind` `bytes` or `segments`; null if all of it",
        later=True,
    ),
    column(
        "source_bytes",
        INT,
        "size of the whole source, if only a part of it was fetched and a size is known",
        later=True,
    ),
    column("whole_because", STR, "why all of it was fetched though only given spans were wanted", later=True),
    column(
        "sections_digest",
        STR,
        "hash of the given scenes that the part was fetched for; null of a whole file",
        later=True,
    ),
]

SCANNED = [
    column("container", STR, "container format, as FFmpeg names it"),
    column("codec", STR, "video codec"),
    column("pix_fmt", STR, "pixel format"),
    column("coded_width", INT, "width of the coded picture, px"),
    column("coded_height", INT, "height of the coded picture, px"),
    column("width", INT, "width as displayed: after pixel aspect and rotation, px"),
    column("height", INT, "height as displayed, px"),
    column("rotation", INT, "clockwise turn to display: 0, 90, 180 or 270 degrees"),
    column("mirrored", BOOL, "whether left and right are swapped to display, after the turn", later=True),
    column(
        "odd_turn", INT, "a clockwise turn that the file asks for but that is no right angle: not applied", later=True
    ),
    column("sar", STR, "sample aspect ratio, such as `1/1`"),
    column("time_base", STR, "seconds per tick of every pts of this video, such as `1/15360`"),
    column("start_pts", INT, "pts of the first decoded frame"),
    column(
        "n_frames",
        INT,
        "frames that decoded; headers are not trusted. Null, as length and rates, if only a part was fetched",
    ),
    column("duration_s", REAL, "length of the decoded frames, seconds"),
    column("fps", REAL, "decoded frames over their length"),
    column("vfr", BOOL, "whether the steps between frames differ"),
    column("interlaced", BOOL, "whether the first frame is made of two fields"),
    column("hdr", STR, "`PQ` or `HLG` for pictures meant for an HDR display, else null"),
    column("size_changes", INT, "how often the picture's size changes in mid-stream"),
    column("decoded_frames", INT, "frames decoded to split it: over n_frames, the passes it took"),
    column("decode_errors", INT, "packets that did not decode, and frames that the decoder marks as corrupt"),
    column(
        "retimed_frames",
        INT,
        "frames that have another time than the container states, which is no later than the one before (docs/shots.md)",
        later=True,
    ),
    column("tools", STR, "versions of the libraries that decoded and measured"),
]
