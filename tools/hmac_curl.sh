#!/usr/bin/env bash
# Sign a request and send it, with openssl and curl alone: a second implementation of the signature, which the
# tests compare with the first, and a recipe for senders in any language.
#
#   LOGOPS_API_KEY=demo LOGOPS_SECRET=... tools/hmac_curl.sh http://127.0.0.1:8081/ingest '[{"msg":"hello"}]'
#   tools/hmac_curl.sh -k demo -s "$SECRET" -t text/csv http://127.0.0.1:8081/ingest @events.csv
#   tools/hmac_curl.sh --print -k demo -s "$SECRET" http://127.0.0.1:8081/ingest '{}'     # the headers only
#
# The secret is an argument of openssl, so other users of this machine can see it in `ps` while it runs: for trying
# things out, not for production.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: hmac_curl.sh [options] [URL] [BODY | @FILE | @-]
  -k, --key NAME         X-Api-Key            (default: $LOGOPS_API_KEY)
  -s, --secret TEXT      the client's secret  (default: $LOGOPS_SECRET)
  -X, --method METHOD    default POST
  -t, --type TYPE        Content-Type         (default: application/json)
  -H, --header 'N: V'    a further header; may be given again. Signed by version 2 if it is one of those that it covers
      --v2               sign by version 2: also type, encoding, emitter, scenario, batch id, tenant and audience
      --audience TEXT    the gateway's auth.audience, for version 2
      --ts TIMESTAMP     X-Timestamp          (default: now, epoch seconds)
      --nonce NONCE      X-Nonce              (default: random; '' leaves it out)
      --print            print the headers, send nothing
URL defaults to $ENTRYPOINT_URL, else http://127.0.0.1:8081/ingest; BODY to [{"msg":"hello from hmac_curl"}].
Example: hmac_curl.sh -k demo -s "$SECRET" http://127.0.0.1:8081/ingest '[{"msg":"hello"}]'
USAGE
}

fail() { printf 'hmac_curl.sh: %s\n' "$1" >&2; exit 2; }

key=${LOGOPS_API_KEY:-} secret=${LOGOPS_SECRET:-} method=POST type=application/json
timestamp= nonce= nonce_given= print_only= v2= audience= extra=() words=()
while [ $# -gt 0 ]; do
  case $1 in
    -h|--help) usage; exit 0 ;;
    --print) print_only=1; shift; continue ;;
    --v2) v2=1; shift; continue ;;
    -k|--key|-s|--secret|-X|--method|-t|--type|-H|--header|--ts|--nonce|--audience)
      [ $# -ge 2 ] || fail "$1 needs a value" ;;
    --) shift; words+=("$@"); break ;;
    -?*) fail "unknown option $1; see --help" ;;
    *) words+=("$1"); shift; continue ;;
  esac
  case $1 in
    -k|--key) key=$2 ;;
    -s|--secret) secret=$2 ;;
    -X|--method) method=$2 ;;
    -t|--type) type=$2 ;;
    -H|--header) extra+=(-H "$2") ;;
    --ts) timestamp=$2 ;;
    --nonce) nonce=$2; nonce_given=1 ;;
    --audience) audience=$2 ;;
  esac
  shift 2
done
[ "${#words[@]}" -le 2 ] || fail "more than a URL and a body; put the body in quotes"
default_url=${ENTRYPOINT_URL:-http://127.0.0.1:8081/ingest}
url=${words[0]-$default_url}
# not inside ${..-..}: a brace in a default ends it
default_body='[{"msg":"hello from hmac_curl"}]'
body=${words[1]-$default_body}
[ -n "$key" ] || fail "no key; give -k or set LOGOPS_API_KEY"
[ -n "$secret" ] || fail "no secret; give -s or set LOGOPS_SECRET"

# The body as a file: bytes stay what they are, line ends and NULs too.
scratch=$(mktemp "${TMPDIR:-/tmp}/hmac_curl.XXXXXX")
trap 'rm -f "$scratch"' EXIT
case $body in
  @-) cat >"$scratch" ;;
  @*) cat -- "${body#@}" >"$scratch" ;;
  *) printf '%s' "$body" >"$scratch" ;;
esac

# The request target: what follows the host, without the fragment.
target=${url#*://}
case $target in
  */*) target=/${target#*/} ;;
  *) target=/ ;;
esac
target=${target%%#*}

[ -n "$timestamp" ] || timestamp=$(date +%s)
[ -n "$nonce_given" ] || nonce=$(openssl rand -hex 16)
digest=$(openssl dgst -sha256 -r <"$scratch"); digest=${digest%% *}
canonical=$(printf '%s\n%s\n%s\n%s\n%s.' "$method" "$target" "$digest" "$timestamp" "$nonce")
if [ -n "$v2" ]; then
  # The value of a further header, without the white space around it; empty if it is not sent.
  value() {
    local field name
    for field in ${extra[@]+"${extra[@]}"}; do
      name=${field%%:*}
      if [ "$field" != -H ] && [ "$(printf %s "$name" | tr A-Z a-z)" = "$1" ]; then
        printf %s "${field#*:}" | sed 's/^[[:blank:]]*//; s/[[:blank:]]*$//'
        return
      fi
    done
  }
  canonical=$(printf 'logops-v2\n%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s.' "${canonical%.}" "$type" "$(value content-encoding)" \
    "$(value x-emitter)" "$(value x-scenario-id)" "$(value x-batch-id)" "$(value x-scope-orgid)" "$audience")
fi
# The point at the end keeps empty last lines, which $(...) takes away.
signature=$(printf '%s' "${canonical%.}" | openssl dgst -sha256 -hmac "$secret" -binary | openssl base64 -A)

headers=("X-Api-Key: $key" "X-Timestamp: $timestamp")
[ -z "$nonce" ] || headers+=("X-Nonce: $nonce")
headers+=("X-Content-SHA256: $digest")
[ -z "$v2" ] || headers+=("X-Signature-Version: 2")
headers+=("X-Signature: $signature")
if [ -n "$print_only" ]; then
  printf '%s\n' "${headers[@]}"
  exit 0
fi
args=()
for header in "${headers[@]}"; do args+=(-H "$header"); done
# --path-as-is and --globoff: the target goes out exactly as it was signed.
curl -sS --path-as-is --globoff -X "$method" -H "Content-Type: $type" "${args[@]}" ${extra[@]+"${extra[@]}"} \
  --data-binary "@$scratch" -w '\n%{http_code}\n' -- "$url"
