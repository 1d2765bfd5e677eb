"""The open web, entered through one door.

`addresses` says where a socket may connect. `client` makes one request under every limit. `sites` knows what a site allows
(`robots`, `reservations`), `turns` paces the requests to a host across all processes, and `visitor` puts them together: a visit
is polite, lawful, and ends with a body or with a reason. `fetcher` visits the pictures of a shard and keeps them in a `scratch`
store; `spider` visits pages and reads pictures off them. `page` puts together what `markup` and `structured` find on one
(JSON-LD by `json_ld`); `feeds` reads feeds and sitemaps (mended by `xml_text`); `urls` and `renditions` decide which address a
picture has.
"""
