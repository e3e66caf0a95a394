
Ç
:{job="varlogs", filename="/var/log/syslog", host="web-01"}S
Ü²–¾IMar  3 11:58:20 web-01 systemd[1]: Started Daily apt download activities.v
İ²–¾ÓñìogMar  3 11:58:21 web-01 sshd[2211]: Failed password for invalid user admin from 10.1.2.3 port 51122 ssh2g
Ş²–¾¦ãÙßWMar  3 11:58:22 web-01 kernel: [12345.678901] Out of memory: Killed process 4242 (java)W
ß²–¾ùÔÆÏGMar  3 11:58:23 web-01 CRON[991]: (root) CMD (/usr/local/bin/backup.sh)u
à²–¾ÌÆ³¿eMar  3 11:58:24 web-01 postfix/smtp[3310]: 4F1A2: to=<alice@example.com>, relay=none, status=deferred4
â²–¾Ÿ¤µR%plain words without a time or a level
ã²–¾ò•¢Â=
ä²–¾Å‡²-   at com.example.shop.Cart.add(Cart.java:42)
©
[{namespace="shop", pod="cart-7d9f8b6c5-x2x4z", container="cart", level="error", app="cart"}C
å²–¾˜ùû¡3could not reach payment service: connection refusedk
ç²–¾ëÖı4order 8812 failed,
trace_id 4bf92f3577b34da6a3ce929d0e0e4736
span_id00f067aa0ba902b7
è²–¾¾Èê¤retrying in 5s5
é²–¾‘º×”%card 4111 1111 1111 1111 was declinedA
ê²–¾ä«Ä„1WARN this line names another level than its label
ä
X{namespace="shop", pod="web-5b8d", container="web", stream="stdout", service_name="web"}€
ì²–¾·‰Æq{"level":"info","ts":"2025-03-03T11:59:00Z","msg":"request","path":"/cart","status":200,"user":"bob@example.com"}b
í²–¾Šû²‡R{"level":"warn","msg":"slow","duration_ms":1820.5,"nested":{"a":[1,2,{"b":null}]}}N
î²–¾İìŸ÷>{"severity":"ERROR","message":"boom","stack":"line 1\nline 2"}_
ï²–¾°ŞŒçO{"time":"2025-03-03T11:59:03Z","lvl":"dbg","text":"cache miss","app":"own-app"}'
ğ²–¾ƒĞùÖ{"msg":"no level here"}
ò²–¾Ö­ûi{}
ó²–¾©ŸèÙ{"broken": 7
ô²–¾üÕÉ'{"msg":"big","id":18446744073709551616}^
õ²–¾Ï‚Â¹3{"msg":"json with metadata","trace_id":"from-line"}
trace_idfrom-metadata
ø
<{job="docker", compose_service="api", detected_level="warn"}2
÷²–¾¢àÃL#level taken from what Loki detected?
ø²–¾õÑ°¼/level=info msg="logfmt beside a detected level"C
ù²–¾ÈÃ¬metadata wins nothing here
detected_levelerror
÷
${job="go", detected_level="unknown"}‚
ú²–¾›µŠœrts=2025-03-03T11:59:10.123456789Z caller=main.go:42 level=error msg="flush failed" err="context deadline exceeded"2
ü²–¾î’Œ/#level=debug component=ring msg=tick\
ı²–¾Á„ùLE0303 11:59:12.000001       1 controller.go:114] loading OpenAPI spec failed`
ş²–¾”öåPI0303 11:59:12.500000       1 leaderelection.go:258] successfully acquired leaseV
ÿ²–¾ççÒşF2025/03/03 11:59:13 http: TLS handshake error from 10.1.2.3:40552: EOF
É
.{job="nginx", method="GET", status_code="502"}¤
³–¾ºÅÔ”10.1.2.3 - - [03/Mar/2025:11:59:20 +0000] "GET /api/items?token=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl HTTP/1.1" 502 157 "-" "curl/8.5.0"
‚³–¾·Á2025/03/03 11:59:21 [error] 31#31: *6 connect() failed (111: Connection refused) while connecting to upstream, client: 10.1.2.3^
ƒ³–¾à¨®ñN2025/03/03 11:59:22 [notice] 1#1: signal 15 (SIGTERM) received from 1, exiting
†
'{job="java", logger="com.example.Main"}Û
„³–¾³š›áÊ2025-03-03 11:59:30,123 ERROR [main] com.example.Main - Unhandled exception
java.lang.IllegalStateException: carol@example.org
	at com.example.Main.run(Main.java:17)
Caused by: java.io.IOException: disk\
…³–¾†ŒˆÑL2025-03-03 11:59:31,000 WARN  [pool-1-thread-2] c.e.Pool - queue is 90% fullN
‡³–¾Ùé‰d?2025-03-03 11:59:32,000 INFO  [pool-1-thread-2] c.e.Pool - doneO
ˆ³–¾¬ÛöÓ?2025-03-03 11:59:33,000 TRACE [pool-1-thread-2] c.e.Pool - tick
İ
L{job="unicode", place="ZÃ¼rich", note="tab\there, quote \" and back\\slash"}2
‰³–¾ÿÌãÃ"grÃ¶ÃŸer als erwartet: æ±äº¬ ğŸ˜€5
Š³–¾Ò¾Ğ³%control  and [31mred ERROR[0m text"
Œ³–¾¥œÒFemoji only ğŸ‰ğŸ‰
’
…{ts="a label called ts", msg="a label called msg", emitter="a label called emitter", scenario_id="x", source="journal", time="later"}7
³–¾ø¿¶'labels with the names of settled fieldsO
³–¾Ëÿ«¦?{"ts":"2025-03-03T11:00:00Z","msg":"the same beside an object"}
ê
T{job="systemd-journal", unit="docker.service", severity="notice", hostname="node-3"}c
³–¾ñ˜–Stime="2025-03-03T11:59:40Z" level=warning msg="cleaning up after shim disconnected"-
‘³–¾ñÎš)API listen on /run/docker.sock
-
{}'
’³–¾ÄÀ‡™a stream without labels
“
{job="times"} 
À³–¾at 1741003200000000000%
À³–¾À©Ó:at 1741003200123000000%
À³–¾€”ï:at 1741003200123456000%
À³–¾•šï:at 1741003200123456789&
¿³–¾ÿ“ëÜat 1741003199999999999!
€‡µÃat 946684800000000001 
€®™¤at 4102444800000000000
ö
{job="loop"}&
“³–¾—²ôˆstep 0 of 12 took 0 ms&
”³–¾ê£áøstep 1 of 12 took 7 ms&
–³–¾½ãstep 2 of 12 took 14 ms&
—³–¾óÏ{step 3 of 12 took 21 ms'
˜³–¾ãä¼ëstep 4 of 12 took 28 ms'
™³–¾¶Ö©Ûstep 5 of 12 took 35 ms'
š³–¾‰È–Ëstep 6 of 12 took 42 ms&
œ³–¾Ü¥˜^step 7 of 12 took 49 ms'
³–¾¯—…Îstep 8 of 12 took 56 ms'
³–¾‚‰ò½step 9 of 12 took 63 ms(
Ÿ³–¾ÕúŞ­step 10 of 12 took 70 ms'
¡³–¾¨Øà@step 11 of 12 took 77 ms