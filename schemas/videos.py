"""`videos`: what was fetched for each link, and what its one decode pass found."""

import pyarrow as pa

from schemas.columns import BOOL, INT, REAL, STR, column

FETCHED = [
    column("sha256", STR, "hash of the source file: its name in media/"),
    column("bytes", INT, "size of the source file"),
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
    column("webpage_url", STR, "the page, as the extractor names it; names and handles in it are `_`"),
    column("info_duration_s", REAL, "length as the source states it; not trusted"),
    column("yt_dlp_version", STR, "version of yt-dlp; null for local files"),
    column("fetched_at", STR, "UTC time of the fetch, or of the last try that failed", volatile=True),
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
    column("sar", STR, "sample aspect ratio, such as `1/1`"),
    column("time_base", STR, "seconds per tick of every pts of this video, such as `1/15360`"),
    column("start_pts", INT, "pts of the first decoded frame"),
    column("n_frames", INT, "frames that decoded; headers are not trusted"),
    column("duration_s", REAL, "length of the decoded frames, seconds"),
    column("fps", REAL, "decoded frames over their length"),
    column("vfr", BOOL, "whether the steps between frames differ"),
    column("interlaced", BOOL, "whether the first frame is made of two fields"),
    column("hdr", STR, "`PQ` or `HLG` for pictures meant for an HDR display, else null"),
    column("size_changes", INT, "how often the picture's size changes in mid-stream"),
    column("decoded_frames", INT, "frames decoded to split it: over n_frames, the passes it took"),
    column("decode_errors", INT, "packets that did not decode"),
    column("tools", STR, "versions of the libraries that decoded and measured"),
]
