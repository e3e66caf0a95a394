workspace "LogOps Fast" "A fast, strict log gateway in front of Loki: proves who sent a batch, masks personal data, stores every line." {

    !identifiers hierarchical
    !docs README.md
    !adrs decisions

    # How the model is tied to the code (tests/architecture checks all of it):
    #   module   the module or package that a component or container is
    #   parts    further modules of the same component
    #   An arrow between components is an import. One tagged Wired is an object handed over by the composition root.
    #   Not drawn: Vocabulary, imports of the words that everything speaks (batches, refusals); Quiet, which only
    #   counts, logs, rewrites answers or gives way and would cross everything else.

    model {
        producer = person "Service team" "Runs the applications whose logs are collected; holds one client's key."
        operator = person "Operator" "Runs LogOps, watches the SLO, rotates keys, follows up alerts."
        auditor = person "Auditor" "May read encrypted originals, with a Fernet key of their own."

        apps = softwareSystem "Applications and agents" "Whatever sends logs: services, Fluent Bit, Vector, cron jobs." "External"
        oncall = softwareSystem "On-call channel" "Slack, or any webhook." "External"

        logops = softwareSystem "LogOps Fast" "Takes signed batches of logs, refuses what it cannot trust or carry, masks personal data, stores each line before it says so." {
            properties {
                "composition_root" "logops_fast.runtime logops_fast.cli logops_fast.__main__ logops_fast.errors"
            }

            emitters = container "Emitters & Scenario Orchestrator" "Signed traffic with EPS profiles, ramps and bursts; telemetry of what became of it." "Python, asyncio" "Client" {
                properties {
                    "module" "logops_fast.emitters"
                }
            }
            console = container "Console" "Scenarios, runs and live figures in a browser, behind a token." "Python, NiceGUI" "Client" {
                properties {
                    "module" "logops_fast.console"
                }
            }
            client = container "Client library" "Logging handler and async client: batches, signs, retries, never blocks." "Python" "Client" {
                properties {
                    "module" "logops_fast.client"
                }
            }

            auth = container "Auth Gateway" "Ten checks in a fixed order, seven before a byte of the body is read." "Python, uvloop, llhttp" "Gateway" {
                properties {
                    "module" "logops_fast.authgw"
                }
                server = component "HTTP server" "Strict HTTP/1.1, bounds on everything." "http/" "Shared" {
                    properties {
                        "module" "logops_fast.http.server"
                        "parts" "logops_fast.http.body logops_fast.http.budget logops_fast.http.connection logops_fast.http.exchange logops_fast.http.head logops_fast.http.limits logops_fast.http.routes logops_fast.http.tls logops_fast.http.tls_accept"
                    }
                }
                door = component "Gateway door" "One request through the ten checks, in order." "authgw/gateway.py" {
                    properties {
                        "module" "logops_fast.authgw.gateway"
                    }
                }
                hmac = component "HMAC auth" "Headers, key, clock, signature, emitter." "authgw/hmac_auth.py" {
                    properties {
                        "module" "logops_fast.authgw.hmac_auth"
                    }
                }
                tokens = component "Token auth" "Tokens of senders that cannot sign." "authgw/token_auth.py" {
                    properties {
                        "module" "logops_fast.authgw.token_auth"
                    }
                }
                nonces = component "Nonce store" "Each nonce once; fails closed." "authgw/nonce_store.py" {
                    properties {
                        "module" "logops_fast.authgw.nonce_store"
                    }
                }
                bucket = component "Token bucket" "Rate of each emitter, failures of each peer; fails open." "authgw/token_bucket.py" {
                    properties {
                        "module" "logops_fast.authgw.token_bucket"
                    }
                }
                backpressure = component "Backpressure" "Caps on bytes and on items." "authgw/backpressure.py" {
                    properties {
                        "module" "logops_fast.authgw.backpressure"
                    }
                }
                syslog = component "Syslog listener" "Lines over TCP, TLS and UDP become batches; senders wait, datagrams are counted." "authgw/syslog/" {
                    properties {
                        "module" "logops_fast.authgw.syslog"
                    }
                }
                forwarder = component "Forwarder" "A batch over HTTP, tried again within deadline and budget." "authgw/forwarder.py" {
                    properties {
                        "module" "logops_fast.authgw.forwarder"
                    }
                }
                retry = component "Retry" "The retry budget." "authgw/retry.py" {
                    properties {
                        "module" "logops_fast.authgw.retry"
                    }
                }
                breaker = component "Circuit breaker" "Sliding window; closed, open, half-open." "authgw/circuit_breaker.py" {
                    properties {
                        "module" "logops_fast.authgw.circuit_breaker"
                    }
                }
                diagnosis = component "Diagnosis" "Which part is wrong, for logops verify." "authgw/diagnosis.py" {
                    properties {
                        "module" "logops_fast.authgw.diagnosis"
                        "parts" "logops_fast.authgw.token_diagnosis"
                    }
                }
                metrics = component "Auth metrics" "What the Auth Gateway counts." "authgw/metrics.py" {
                    properties {
                        "module" "logops_fast.authgw.metrics"
                    }
                }
                pool = component "HTTP client pool" "Keep-alive connections." "http/pool.py, client.py" "Shared" {
                    properties {
                        "module" "logops_fast.http.pool"
                        "parts" "logops_fast.http.client logops_fast.http.endpoint logops_fast.http.response_reader"
                    }
                }
                keys = component "Keys and settings" "Clients and their secrets; typed settings." "config/" "Shared" {
                    properties {
                        "module" "logops_fast.config"
                        "parts" "logops_fast.files"
                    }
                }
                state = component "State interface" "Atomic operations on nonces and buckets." "state/" "Shared" {
                    properties {
                        "module" "logops_fast.state"
                    }
                }
                telemetry = component "Telemetry" "Counters that all workers share; the log." "telemetry/" "Shared" {
                    properties {
                        "module" "logops_fast.telemetry"
                    }
                }
                words = component "Vocabulary" "Batch, reply, refusal, formats, signature, back-off: shared by all." "formats/, http/refusal.py, backoff.py" "Shared" {
                    properties {
                        "module" "logops_fast.formats"
                        "parts" "logops_fast.http.refusal logops_fast.backoff logops_fast.patterns"
                    }
                }
            }

            ingest = container "Ingest Gateway" "Parses, normalises, masks and stores; answers when the batch is on the disk." "Python, uvloop, orjson" "Gateway" {
                properties {
                    "module" "logops_fast.ingest"
                }
                server = component "HTTP server" "Strict HTTP/1.1, bounds on everything." "http/" "Shared" {
                    properties {
                        "module" "logops_fast.http.server"
                        "parts" "logops_fast.http.body logops_fast.http.budget logops_fast.http.connection logops_fast.http.exchange logops_fast.http.head logops_fast.http.limits logops_fast.http.routes logops_fast.http.tls logops_fast.http.tls_accept"
                    }
                }
                door = component "Gateway door" "Reads a request's body, within the cap." "ingest/gateway.py" {
                    properties {
                        "module" "logops_fast.ingest.gateway"
                    }
                }
                pipeline = component "Ingest pipeline" "A batch in; stored lines and a summary out." "ingest/pipeline.py" {
                    properties {
                        "module" "logops_fast.ingest.pipeline"
                        "parts" "logops_fast.ingest.batch_reader logops_fast.ingest.summary logops_fast.ingest.rejected logops_fast.ingest.reading_jobs"
                    }
                }
                parsers = component "Parsers" "JSON, NDJSON, CSV, plain text, syslog." "ingest/parsers/" {
                    properties {
                        "module" "logops_fast.ingest.parsers"
                    }
                }
                normaliser = component "Normaliser" "ts, level, msg settled; every field kept." "ingest/normaliser.py" {
                    properties {
                        "module" "logops_fast.ingest.normaliser"
                        "parts" "logops_fast.ingest.aliases logops_fast.ingest.explain logops_fast.ingest.fast_layouts logops_fast.ingest.plans logops_fast.ingest.settled_times logops_fast.ingest.settling logops_fast.ingest.tally"
                    }
                }
                native = component "Native reader" "Reads JSON and OTLP, and settles and masks other events, with the kernel in Rust, if it is installed." "ingest/native/" {
                    properties {
                        "module" "logops_fast.ingest.native"
                    }
                }
                fields = component "Field vocabulary" "Names, times, zones and levels as loggers write them." "ingest/names.py" {
                    properties {
                        "module" "logops_fast.ingest.names"
                        "parts" "logops_fast.ingest.timestamps logops_fast.ingest.epoch logops_fast.ingest.zones logops_fast.ingest.levels"
                    }
                }
                pii = component "PII masker" "E-mails, addresses, cards, tokens." "ingest/pii/" {
                    properties {
                        "module" "logops_fast.ingest.pii"
                    }
                }
                encryption = component "Field encryption" "Originals as Fernet tokens." "ingest/encryption.py" {
                    properties {
                        "module" "logops_fast.ingest.encryption"
                    }
                }
                serialiser = component "Serialiser" "Events to JSON lines." "ingest/serialiser.py" {
                    properties {
                        "module" "logops_fast.ingest.serialiser"
                    }
                }
                sink = component "File sink" "Group commit; repairs what a crash left." "ingest/sink/" {
                    properties {
                        "module" "logops_fast.ingest.sink"
                        "parts" "logops_fast.files"
                    }
                }
                housekeeping = component "Housekeeping" "Deletes or archives old day files, never today's." "ingest/housekeeping/" {
                    properties {
                        "module" "logops_fast.ingest.housekeeping"
                    }
                }
                metrics = component "Ingest metrics" "What the Ingest Gateway counts." "ingest/metrics.py" {
                    properties {
                        "module" "logops_fast.ingest.metrics"
                    }
                }
                state = component "State interface" "Batch ids and their first answers." "state/" "Shared" {
                    properties {
                        "module" "logops_fast.state"
                    }
                }
                telemetry = component "Telemetry" "Counters that all workers share; the log." "telemetry/" "Shared" {
                    properties {
                        "module" "logops_fast.telemetry"
                    }
                }
                words = component "Vocabulary" "Batch, reply, refusal, formats, back-off: shared by all." "formats/, http/refusal.py, backoff.py" "Shared" {
                    properties {
                        "module" "logops_fast.formats"
                        "parts" "logops_fast.http.refusal logops_fast.backoff logops_fast.patterns"
                    }
                }
            }

            shipper = container "Shipper" "Follows the files as far as they are acknowledged; each line reaches Loki once." "Python, uvloop" "Gateway" {
                properties {
                    "module" "logops_fast.shipper"
                }
            }

            statestore = container "State store" "Nonces, token buckets, batch ids. Mapped files on one machine, Redis or Valkey for many." "mmap, or Redis" "Store"
            files = container "NDJSON files" "One file for each UTC day and worker; rejected events beside them." "Append-only files" "Store"
            promtail = container "Promtail" "Follows the files. Grafana Alloy is its successor." "Promtail or Alloy" "Observability"
            loki = container "Loki" "Keeps and searches the lines." "Grafana Loki" "Observability"
            prometheus = container "Prometheus" "Recording rules; SLO and burn-rate alerts." "Prometheus" "Observability"
            alertmanager = container "Alertmanager" "Groups, silences and routes alerts." "Alertmanager" "Observability"
            grafana = container "Grafana" "Throughput, latency against the SLO, refusals, live logs." "Grafana" "Observability"
        }

        # C1 and C2
        producer -> apps "Runs"
        operator -> logops "Configures, watches, rotates keys" "logops CLI, Grafana"
        auditor -> logops "Reads encrypted originals" "logops decrypt"
        apps -> logops "Send signed batches" "HTTPS, HMAC-SHA256"
        logops -> oncall "Alerts" "HTTPS webhook"

        operator -> logops.grafana "Looks at dashboards" "HTTPS"
        operator -> logops.emitters "Runs scenarios" "logops emit, scenario"
        operator -> logops.console "Watches, runs scenarios" "HTTP, a browser"
        logops.console -> logops.emitters "Runs scenarios" "in process"
        logops.console -> logops.auth "Reads figures" "HTTP GET /metrics"
        logops.console -> logops.files "Shows the last lines" "file I/O"
        auditor -> logops.files "Reads with a Fernet key" "logops decrypt"
        apps -> logops.client "Log through" "Python logging"
        apps -> logops.auth "Send signed batches" "HTTPS, HMAC-SHA256"
        logops.client -> logops.auth "Sends signed batches" "HTTP POST /ingest"
        logops.emitters -> logops.auth "Send signed batches" "HTTP POST /ingest"
        logops.auth -> logops.ingest "Hands on accepted batches" "in process, or HTTP"
        logops.auth -> logops.statestore "Nonces, tokens" "mmap, or RESP"
        logops.ingest -> logops.statestore "Batch ids" "mmap, or RESP"
        logops.ingest -> logops.files "Appends lines, fdatasync" "file I/O"
        logops.shipper -> logops.files "Follows what is acknowledged" "file I/O"
        logops.shipper -> logops.loki "Pushes lines, asks what arrived" "HTTP"
        logops.promtail -> logops.files "Follows" "file I/O"
        logops.promtail -> logops.loki "Pushes lines" "HTTP"
        logops.prometheus -> logops.auth "Scrapes" "HTTP GET /metrics"
        logops.prometheus -> logops.ingest "Scrapes" "HTTP GET /metrics"
        logops.prometheus -> logops.shipper "Scrapes" "HTTP GET /metrics"
        logops.prometheus -> logops.alertmanager "Fires alerts" "HTTP"
        logops.grafana -> logops.prometheus "Queries" "PromQL"
        logops.grafana -> logops.loki "Queries" "LogQL"
        logops.alertmanager -> oncall "Notifies" "HTTPS webhook"

        # C3 Auth Gateway: what comes in and goes out
        apps -> logops.auth.server "Send signed batches" "HTTP POST /ingest"
        apps -> logops.auth.syslog "Send lines" "syslog: TCP, TLS, UDP"
        logops.emitters -> logops.auth.server "Send signed batches" "HTTP POST /ingest"
        logops.client -> logops.auth.server "Sends signed batches" "HTTP POST /ingest"
        logops.prometheus -> logops.auth.server "Scrapes" "HTTP GET /metrics"
        logops.auth.pool -> logops.ingest "Posts batches" "HTTP POST /v1/logs"
        logops.auth.state -> logops.statestore "Reads and writes" "mmap, or RESP"

        # C3 Auth Gateway: imports
        logops.auth.door -> logops.auth.server "Answers, takes bodies"
        logops.auth.door -> logops.auth.hmac "1 Who is it?"
        logops.auth.door -> logops.auth.tokens "1 Whose token?"
        logops.auth.door -> logops.auth.nonces "2 Used before?"
        logops.auth.door -> logops.auth.backpressure "3 Too large?"
        logops.auth.door -> logops.auth.bucket "4 Within its rate?"
        logops.auth.door -> logops.auth.metrics "Counts answers"
        logops.auth.syslog -> logops.auth.bucket "Takes tokens"
        logops.auth.syslog -> logops.auth.server "Counts connections"
        logops.auth.syslog -> logops.auth.metrics "Counts what is denied"
        logops.auth.syslog -> logops.auth.telemetry "Registers families, warns" "" "Quiet"
        logops.auth.hmac -> logops.auth.keys "Looks up secrets"
        logops.auth.tokens -> logops.auth.keys "Looks up tokens"
        logops.auth.tokens -> logops.auth.hmac "Shares its verdicts"
        logops.auth.nonces -> logops.auth.state "Inserts atomically"
        logops.auth.bucket -> logops.auth.state "Takes tokens"
        logops.auth.nonces -> logops.auth.telemetry "Warns, once a minute" "" "Quiet"
        logops.auth.bucket -> logops.auth.telemetry "Warns, once a minute" "" "Quiet"
        logops.auth.forwarder -> logops.auth.breaker "May I? It worked"
        logops.auth.forwarder -> logops.auth.retry "When again?"
        logops.auth.forwarder -> logops.auth.pool "Sends"
        logops.auth.retry -> logops.auth.breaker "Shares its window"
        logops.auth.diagnosis -> logops.auth.hmac "Follows its rules"
        logops.auth.diagnosis -> logops.auth.tokens "Follows its rules"
        logops.auth.diagnosis -> logops.auth.keys "Looks up secrets"
        logops.auth.metrics -> logops.auth.telemetry "Registers families"
        # handed over by runtime/wiring.py
        logops.auth.server -> logops.auth.door "Hands over requests" "" "Wired"
        logops.auth.server -> logops.auth.metrics "Counts refusals" "" "Wired,Quiet"
        logops.auth.door -> logops.auth.forwarder "5 Hands on" "" "Wired"
        logops.auth.syslog -> logops.auth.forwarder "Sends batches" "" "Wired"
        logops.auth.forwarder -> logops.auth.metrics "Counts tries" "" "Wired,Quiet"
        logops.auth.nonces -> logops.auth.metrics "Counts failures" "" "Wired,Quiet"
        logops.auth.bucket -> logops.auth.metrics "Counts failures" "" "Wired,Quiet"
        # words
        logops.auth.words -> logops.auth.server "Rewrites answers for OTLP" "" "Quiet"
        logops.auth.server -> logops.auth.words "Speaks" "" "Vocabulary"
        logops.auth.door -> logops.auth.words "Speaks" "" "Vocabulary"
        logops.auth.hmac -> logops.auth.words "Speaks" "" "Vocabulary"
        logops.auth.tokens -> logops.auth.words "Speaks" "" "Vocabulary"
        logops.auth.syslog -> logops.auth.words "Speaks" "" "Vocabulary"
        logops.auth.nonces -> logops.auth.words "Speaks" "" "Vocabulary"
        logops.auth.bucket -> logops.auth.words "Speaks" "" "Vocabulary"
        logops.auth.backpressure -> logops.auth.words "Speaks" "" "Vocabulary"
        logops.auth.forwarder -> logops.auth.words "Speaks" "" "Vocabulary"
        logops.auth.diagnosis -> logops.auth.words "Speaks" "" "Vocabulary"
        logops.auth.state -> logops.auth.words "Speaks" "" "Vocabulary"

        # C3 Ingest Gateway: what comes in and goes out
        logops.auth -> logops.ingest.server "Posts batches" "HTTP POST /v1/logs"
        logops.auth -> logops.ingest.pipeline "Sends batches, in logops up" "a call in process"
        logops.prometheus -> logops.ingest.server "Scrapes" "HTTP GET /metrics"
        logops.ingest.sink -> logops.files "Appends, fdatasync" "file I/O"
        logops.ingest.housekeeping -> logops.files "Deletes, archives" "file I/O"
        logops.ingest.state -> logops.statestore "Reads and writes" "mmap, or RESP"

        # C3 Ingest Gateway: imports
        logops.ingest.door -> logops.ingest.server "Answers, takes bodies"
        logops.ingest.door -> logops.ingest.metrics "Counts refusals"
        logops.ingest.pipeline -> logops.ingest.state "1 Claims the batch id"
        logops.ingest.pipeline -> logops.ingest.parsers "2 Reads events"
        logops.ingest.pipeline -> logops.ingest.normaliser "3 Settles and masks"
        logops.ingest.pipeline -> logops.ingest.sink "4 Stores"
        logops.ingest.pipeline -> logops.ingest.metrics "Counts"
        logops.ingest.pipeline -> logops.ingest.native "Reads JSON and OTLP"
        logops.ingest.pipeline -> logops.ingest.fields "Counts levels"
        logops.ingest.native -> logops.ingest.normaliser "Hands back what is not in order"
        logops.ingest.native -> logops.ingest.fields "Learns names and levels"
        logops.ingest.native -> logops.ingest.parsers "Decodes what is handed back"
        logops.ingest.native -> logops.ingest.pii "Compares the masks"
        logops.ingest.normaliser -> logops.ingest.fields "Reads names, times, levels"
        logops.ingest.normaliser -> logops.ingest.parsers "Searches messages for a level"
        logops.ingest.parsers -> logops.ingest.fields "Reads zone words"
        logops.ingest.normaliser -> logops.ingest.pii "Masks"
        logops.ingest.normaliser -> logops.ingest.encryption "Keeps originals"
        logops.ingest.normaliser -> logops.ingest.serialiser "Writes lines"
        logops.ingest.normaliser -> logops.ingest.parsers "Finds levels in messages"
        logops.ingest.pii -> logops.ingest.serialiser "Checks the written form"
        logops.ingest.pii -> logops.ingest.words "Compiles patterns" "" "Vocabulary"
        logops.ingest.encryption -> logops.ingest.serialiser "Writes originals"
        logops.ingest.housekeeping -> logops.ingest.sink "Shares names of files"
        logops.ingest.metrics -> logops.ingest.telemetry "Registers families"
        # handed over by runtime/wiring.py and runtime/storage.py
        logops.ingest.server -> logops.ingest.door "Hands over requests" "" "Wired"
        logops.ingest.server -> logops.ingest.metrics "Counts refusals" "" "Wired,Quiet"
        logops.ingest.door -> logops.ingest.pipeline "Sends batches" "" "Wired"
        logops.ingest.sink -> logops.ingest.metrics "Counts commits" "" "Wired"
        logops.ingest.sink -> logops.ingest.state "Renews claims" "" "Wired,Quiet"
        logops.ingest.housekeeping -> logops.ingest.metrics "Counts runs" "" "Wired,Quiet"
        logops.ingest.sink -> logops.ingest.telemetry "Warns, once a minute" "" "Wired,Quiet"
        # words
        logops.ingest.words -> logops.ingest.server "Rewrites answers for OTLP" "" "Quiet"
        logops.ingest.server -> logops.ingest.words "Speaks" "" "Vocabulary"
        logops.ingest.door -> logops.ingest.words "Speaks" "" "Vocabulary"
        logops.ingest.pipeline -> logops.ingest.words "Speaks" "" "Vocabulary"
        logops.ingest.parsers -> logops.ingest.words "Speaks" "" "Vocabulary"
        logops.ingest.state -> logops.ingest.words "Speaks" "" "Vocabulary"
        logops.ingest.words -> logops.ingest.sink "Lets it write before each slice" "" "Wired,Quiet"

        up = deploymentEnvironment "logops up" {
            deploymentNode "One machine" "Linux or macOS" "Python 3.11 or newer" {
                deploymentNode "Supervisor" "Restarts a worker that dies; forwards signals" "logops up --workers N" {
                    deploymentNode "Worker" "SO_REUSEPORT; both gateways in one process" "uvloop" "N" {
                        containerInstance logops.auth
                        containerInstance logops.ingest
                    }
                }
                deploymentNode "data/" "On a local disk" "file system" {
                    containerInstance logops.statestore
                    containerInstance logops.files
                }
            }
        }

        compose = deploymentEnvironment "docker compose" {
            deploymentNode "Docker host" "Publishes on 127.0.0.1 only" "docker compose up" {
                deploymentNode "authgw" "Published: 8081" "logops authgw" {
                    containerInstance logops.auth
                }
                deploymentNode "ingest" "Not published" "logops ingest" {
                    containerInstance logops.ingest
                }
                deploymentNode "State" "Profile scale: Valkey for all. Else a volume for each gateway" "volumes, or Valkey" {
                    containerInstance logops.statestore
                }
                deploymentNode "ingest-data" "Shared by ingest and the collector" "volume" {
                    containerInstance logops.files
                }
                deploymentNode "Observability" "One service each; the shipper or Alloy may be in Promtail's place" "containers" {
                    containerInstance logops.promtail
                    containerInstance logops.loki
                    containerInstance logops.prometheus
                    containerInstance logops.alertmanager
                    containerInstance logops.grafana
                }
            }
        }

        many = deploymentEnvironment "Many machines" {
            cluster = deploymentNode "Cluster" "Kubernetes, or machines behind a load balancer" "deploy/k8s" {
                balancer = infrastructureNode "Load balancer" "TLS; no sticky sessions needed" "Ingress or L4"
                authpods = deploymentNode "Auth pods" "Stateless; scale on CPU" "Deployment" "2..N" {
                    manyauth = containerInstance logops.auth
                }
                deploymentNode "Ingest pods" "Each with a volume and a shipper of its own" "StatefulSet" "2..N" {
                    containerInstance logops.ingest
                    containerInstance logops.files
                    containerInstance logops.shipper
                }
                deploymentNode "Shared state" "One primary, a replica to fail over to" "Redis or Valkey" {
                    containerInstance logops.statestore
                }
                deploymentNode "Loki cluster" "Chunks on object storage" "Loki" {
                    containerInstance logops.loki
                }
                balancer -> authpods.manyauth "Spreads" "HTTP"
            }
        }
    }

    views {
        properties {
            "plantuml.title" "true"
            "plantuml.legend" "true"
        }

        systemContext logops C1 "C1: who uses LogOps Fast, and what it talks to." {
            include producer apps operator auditor logops oncall
            autoLayout tb 500 400
        }

        container logops C2 "C2: the programs and stores of LogOps Fast." {
            include operator auditor apps oncall logops.emitters logops.console logops.client logops.auth logops.ingest logops.statestore logops.files logops.shipper logops.promtail logops.loki logops.prometheus logops.alertmanager logops.grafana
            autoLayout tb 450 300
        }

        component logops.auth C3_auth "C3: the Auth Gateway, module by module." {
            include logops.auth.server logops.auth.syslog logops.auth.door logops.auth.hmac logops.auth.tokens logops.auth.nonces logops.auth.bucket logops.auth.backpressure logops.auth.forwarder logops.auth.retry logops.auth.breaker logops.auth.diagnosis logops.auth.metrics logops.auth.pool logops.auth.keys logops.auth.state logops.auth.telemetry
            include logops.emitters logops.ingest logops.statestore logops.prometheus
            exclude relationship.tag==Quiet
            exclude logops.emitters->logops.ingest
            exclude logops.prometheus->logops.ingest
            exclude logops.ingest->logops.statestore
            autoLayout tb 450 350
        }

        component logops.ingest C3_ingest "C3: the Ingest Gateway, module by module." {
            include logops.ingest.server logops.ingest.door logops.ingest.pipeline logops.ingest.parsers logops.ingest.normaliser logops.ingest.native logops.ingest.fields logops.ingest.pii logops.ingest.encryption logops.ingest.serialiser logops.ingest.sink logops.ingest.housekeeping logops.ingest.metrics logops.ingest.state logops.ingest.telemetry
            include logops.auth logops.files logops.statestore logops.prometheus
            exclude relationship.tag==Quiet
            exclude logops.prometheus->logops.auth
            exclude logops.auth->logops.statestore
            autoLayout tb 450 350
        }

        deployment logops up deployment_up "One machine, nothing else needed: logops up." {
            include *
            autoLayout lr 450 250
        }
        deployment logops compose deployment_compose "docker compose up: the gateways and the observability stack on one host." {
            include *
            autoLayout lr 450 250
        }
        deployment logops many deployment_many "Many machines: stateless gateways behind a load balancer, one shared state store." {
            include *
            autoLayout lr 450 250
        }

        dynamic logops.auth accepted "A batch is accepted." {
            apps -> logops.auth.server "POST /ingest, headers"
            logops.auth.server -> logops.auth.door "the head is whole"
            logops.auth.door -> logops.auth.hmac "headers, key, clock, signature"
            logops.auth.door -> logops.auth.nonces "insert the nonce"
            logops.auth.door -> logops.auth.server "take the body; hash it piece by piece"
            logops.auth.door -> logops.auth.backpressure "digest equal; count items"
            logops.auth.door -> logops.auth.bucket "take tokens"
            logops.auth.door -> logops.auth.forwarder "send the batch"
            logops.auth.forwarder -> logops.auth.pool "with its X-Batch-Id"
            logops.auth.pool -> logops.ingest "POST /v1/logs"
            logops.ingest -> logops.files "append, fdatasync, then 200 and the summary"
            properties {
                "plantuml.sequenceDiagram" "true"
            }
        }

        dynamic logops.auth replay "A replay is refused." {
            apps -> logops.auth.server "the same signed request again"
            logops.auth.server -> logops.auth.door "the head is whole"
            logops.auth.door -> logops.auth.hmac "the signature is right"
            logops.auth.door -> logops.auth.nonces "insert the nonce: it is there already"
            logops.auth.door -> logops.auth.bucket "a failure of this peer"
            logops.auth.door -> logops.auth.metrics "replay, emitter"
            logops.auth.door -> logops.auth.server "401 replay; the body is never read"
            properties {
                "plantuml.sequenceDiagram" "true"
            }
        }

        dynamic logops.auth ingest_down "Ingest is down." {
            logops.auth.door -> logops.auth.forwarder "send the batch"
            logops.auth.forwarder -> logops.auth.breaker "may I? closed: yes"
            logops.auth.forwarder -> logops.auth.pool "first try"
            logops.auth.pool -> logops.ingest "connection refused"
            logops.auth.forwarder -> logops.auth.breaker "that failed"
            logops.auth.forwarder -> logops.auth.retry "when again? back-off with jitter, within the budget"
            logops.auth.forwarder -> logops.auth.pool "next tries, same X-Batch-Id"
            logops.auth.pool -> logops.ingest "connection refused: 502 downstream_error"
            logops.auth.door -> logops.auth.forwarder "further batches"
            logops.auth.forwarder -> logops.auth.breaker "20% of 20 calls failed: open"
            logops.auth.door -> logops.auth.bucket "give the tokens back"
            logops.auth.door -> logops.auth.server "503 circuit_open at once, with Retry-After"
            properties {
                "plantuml.sequenceDiagram" "true"
            }
        }

        styles {
            element "Element" {
                color #ffffff
                fontSize 17
                width 200
            }
            element "Boundary" {
                color #1f2937
                stroke #64748b
                fontSize 20
            }
            element "Deployment Node" {
                background #ffffff
                color #1f2937
                stroke #64748b
            }
            element "Infrastructure Node" {
                background #57534e
                properties {
                    "legend" "Infrastructure, not ours"
                }
            }
            element "Person" {
                shape Person
                background #1a3d5c
                properties {
                    "legend" "Person"
                }
            }
            element "Software System" {
                background #155e75
                properties {
                    "legend" "LogOps Fast"
                }
            }
            element "External" {
                background #57534e
                properties {
                    "legend" "Another system"
                }
            }
            element "Gateway" {
                background #1d4ed8
                properties {
                    "legend" "Gateway (ours)"
                }
            }
            element "Client" {
                background #0f766e
                properties {
                    "legend" "Sender (ours)"
                }
            }
            element "Store" {
                background #6d28d9
                shape Cylinder
                properties {
                    "legend" "Files, or a store"
                }
            }
            element "Observability" {
                background #9a3412
                properties {
                    "legend" "Observability stack (configured by ours)"
                }
            }
            element "Component" {
                background #1e40af
                properties {
                    "legend" "Module of this gateway"
                }
            }
            element "Shared" {
                background #475569
                properties {
                    "legend" "Module that both gateways share"
                }
            }
            relationship "Relationship" {
                color #1f2937
                style solid
                fontSize 15
                properties {
                    "legend" "uses; between modules: imports"
                }
            }
            relationship "Wired" {
                style dashed
                color #9f1239
                properties {
                    "legend" "calls an object that runtime/ handed over (no import)"
                }
            }
        }
    }
}
