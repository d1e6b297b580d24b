-- The dataset as DuckDB views. In a DuckDB shell, from the dataset's folder:  .read manifest.sql
-- Made by hdvg from the dataset's settings; a new rule changes only `clip_rows`.

-- A time in seconds as a fraction in lowest terms; a name of a video's span that no time base or file shapes.
create or replace macro seconds_of(pts, base) as
    (pts * split_part(base, '/', 1)::hugeint // gcd(pts * split_part(base, '/', 1)::hugeint, split_part(base, '/', 2)::hugeint))
    || '/' || (split_part(base, '/', 2)::hugeint // gcd(pts * split_part(base, '/', 1)::hugeint, split_part(base, '/', 2)::hugeint));
create or replace macro span_id(video, start_pts, end_pts, base) as
    md5(concat_ws(' ', video, seconds_of(start_pts, base), seconds_of(end_pts, base)));

${forgotten}create or replace view inputs as
select * from ${inputs} ${living}${unit_filter};

-- Entries of published metadata that were not taken (`hdvg import`), and why.
create or replace view rejected as
select * from ${rejected} ${living};

-- The scenes that published sets give, and all of a video's with a hash of them.
create or replace view given as
${given};

create or replace view given_videos as
${given_videos};

-- The newest word on every item, stage by stage.
${stage_views}
${table_views}-- One row a video. Of several links with the same bytes the first accepted counts, the others are duplicates.
create or replace view videos as
with fetched as (
    select l.video_id, l.source, l.link, l.unit, l.seq, l.line, d.* exclude (video_id),
        case when d.status = 'ok' then first_value(l.video_id)
            over (partition by d.status = 'ok', d.sha256 order by l.seq, l.line, l.video_id) end as owner
    from (select * from inputs where status = 'new') l left join downloaded d using (video_id)
)
select d.video_id, d.source, d.link, d.unit, d.seq, d.line, d.owner,
    case when d.status = 'ok' and d.owner = d.video_id then 'split' else 'download' end as stage,
    case when d.status is null then 'pending'
         when d.status <> 'ok' then d.status
         when d.owner <> d.video_id then 'failed'
         else coalesce(s.status, 'pending') end as status,
    case when d.status <> 'ok' then d.reason
         when d.owner <> d.video_id then 'duplicate'
         else s.reason end as reason,
    case when d.status <> 'ok' then d.detail
         when d.owner <> d.video_id then 'same bytes as video ' || d.owner
         else s.detail end as detail,
    case when d.status <> 'ok' then d.attempt else coalesce(s.attempt, d.attempt) end as attempt,
    ${fetched_columns},
    ${scanned_columns},
    s.generation as split_generation, s.given_digest
from fetched d left join scanned s using (video_id);

-- The texts of every writer, and of people where they count, with what is told of them; `best` is the best of its kind.
create or replace view texts as
with t as (
    select t.*, m.similarity, m.text_embedding, m.match_model,
        case when kind = 'person' then 'ok' else m.status end as match_status, ${sound} as sound, ${kind_weight} as kind_weight
    from (select * from captioned ${living}where status = 'ok' and text is not null${persons_texts}) t
    left join matched m using (writer, video_id, clip_id, kind)
), agreed as (
    select a.writer, a.video_id, a.clip_id, a.kind,
        avg(list_cosine_similarity(a.text_embedding, b.text_embedding)) as agreement
    from t a join t b on a.video_id = b.video_id and a.clip_id = b.clip_id and a.writer <> b.writer
    where b.kind not in ('title', 'speech') and a.match_status = 'ok' and b.match_status = 'ok' group by all
), chosen as (
    select t.*, agreed.agreement, row_number() over (partition by video_id, clip_id, kind order by ${best_order}) = 1 as best
    from t left join agreed using (writer, video_id, clip_id, kind)
)
select *, coalesce(
    case when best then kind_weight / nullif(sum(kind_weight) filter (best) over (partition by video_id, clip_id), 0) end, 0
) as weight
from chosen;

-- The text that stands for each clip, and its checks.
create or replace view caption_rows as
select *, count(*) over (partition by text) as copies from (
    from texts where best and (kind <> 'speech' or kind_weight > 0)
    qualify row_number() over (partition by video_id, clip_id order by kind_weight desc, ${kind_place}) = 1
);

-- What is said of each clip field by field: by the writer of a text that counts, before others.
create or replace view said as
select video_id, clip_id, ${said_columns} from texts where said_how is not null
qualify row_number() over (partition by video_id, clip_id order by best desc, kind_weight desc, place) = 1;

create or replace view checked as
select video_id, clip_id, 'ok' as caption_status, match_status, words as caption_words,
    repeated_words as caption_repeated_words, repeated_trigrams as caption_repeated_trigrams,
    odd_characters as caption_odd_characters, boilerplate as caption_boilerplate, copies as caption_copies,
    similarity as caption_similarity, agreement as caption_agreement, ${said_columns}
from (select * exclude (${said_columns}) from caption_rows) left join said using (video_id, clip_id)
union all by name
select distinct video_id, clip_id, 'failed' as caption_status, 'failed' as match_status
from captioned c anti join caption_rows using (video_id, clip_id) where c.status = 'failed';

-- The clips of the newest split of each good video, with all measures.
create or replace view measured as
select c.*${alone_replaced}, ${derived_columns}, ${keyframe_columns}${alone_columns}pooled.status as pool_status, ${pool_columns},
    checked.caption_status, checked.match_status, ${caption_columns}, ${marked_columns}
from (select * from split_rows where clip_id is not null and status = 'ok') c
join (select video_id, split_generation as generation, licence_class, open_licence from videos where status = 'ok') v
    using (video_id, generation)
${keyframe_joins}${alone_joins}left join pooled using (clip_id)
left join checked using (video_id, clip_id)${marked_join};

-- The same, with the name of every rule that is broken.
create or replace view clip_rows as
select *, ${reasons} as reasons from measured;

create or replace view clips as
select ${span_columns}, ${given_columns}, c.video_id, cuts.status as cut_status,
    ${cut_columns}, ${of_view}
from clip_rows c left join cuts using (video_id, clip_id);

create or replace view measures as
select clip_id, video_id, ${own_columns}${measured_columns} from measured c;

-- A clip is kept when no rule names a reason against it; a missing measure is a reason.
create or replace view verdicts as
select clip_id, video_id, len(reasons) = 0 as keep, reasons from clip_rows;

create or replace view captions as
select clip_id, video_id, writer, kind, text, language, captioner, model, best, weight, sound, words, repeated_words,
    repeated_trigrams, odd_characters, boilerplate, similarity, agreement, match_model, prompt_tokens, output_tokens,
    ${said_columns}, said_events, said_how
from texts semi join clip_rows using (video_id, clip_id);

-- One row for everything that did not work out, and why.
create or replace view failures as
select link as key, 'input' as stage, status, reason, detail, 1 as attempt, link as source, video_id
from inputs where status = 'failed'${stage_failures};

-- The join: one row a clip.
create or replace view dataset as
select ${span_columns}, ${given_columns}, c.video_id, cuts.status as cut_status,
    ${cut_columns},
    ${clip_measured_columns}, ${own_columns}${own_measures} as own_measures, ${of_view}, len(c.reasons) = 0 as keep, c.reasons,
    c.marked_keep, c.marked_drop, c.marked_flag, t.captioner, t.model, t.text as caption, x.texts,
    v.source, v.sha256 as video_sha256, v.title, v.licence, v.uploader_id, v.upload_date, v.categories, v.webpage_url
from clip_rows c
join videos v using (video_id)
left join cuts using (video_id, clip_id)
left join caption_rows t using (video_id, clip_id)
left join (
    select video_id, clip_id, list({'kind': kind, 'text': text, 'language': language, 'weight': weight,
        'captioner': captioner, 'model': model} order by weight desc, kind) as texts
    from texts where best group by all
) x using (video_id, clip_id);

-- What is left to do. `old_*` is the last word on the item, if there is one.
${stage_wanted}create or replace view wanted as
${all_wanted};

create or replace view unfinished as
select * from wanted where old_status is distinct from 'ok';

create or replace view pending as
select w.stage, w.key, w.video_id, i.unit, coalesce(w.attempt, 0) as attempt
from unfinished w join (select distinct video_id, unit from inputs where status = 'new') i using (video_id)
where w.old_status is null or w.old_status = 'retry';

-- Videos whose source may still be asked for: to split them, or to cut a clip that no rule has dropped so far.
create or replace view needed as
select video_id from pending where stage = 'split'
union
select m.video_id from measured m left join cuts using (video_id, clip_id)
where (cuts.status is null or cuts.status = 'retry') and ${may_pass};
