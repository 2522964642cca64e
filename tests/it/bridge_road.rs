//! Bridging on the road: a caller and a service that speak different versions, over real sockets.

use serde_json::json;

use crate::support::messages::{SOAP11, SOAP12, WSA10, order, order12, soap11, soap12};
use crate::support::router::router_to;
use crate::support::service::{Received, Service, reply, reply_chunked};
use crate::support::{Message, Reply, router, service, soap_router};

const TO_A: &str = "- { filter: { match_all: {} }, endpoint: a }";
const WSA04: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing";

/// Answers in this version, whatever it was asked in.
fn speaks(
    namespace: &'static str,
    header: &'static str,
    body: &'static str,
    status: &'static str,
) -> Service {
    service("a").replies(move |_: &Received| {
        let kind = if namespace == SOAP12 { "application/soap+xml" } else { "text/xml" };
        let envelope = format!(
            "<x:Envelope xmlns:x=\"{namespace}\"><x:Header>{header}</x:Header><x:Body>{body}</x:Body></x:Envelope>"
        );
        reply(status, &format!("Content-Type: {kind}; charset=utf-8\r\n"), &envelope)
    })
}

fn text(received: &Received) -> String {
    String::from_utf8(received.body.clone()).unwrap()
}

#[test]
fn a_1_1_caller_and_a_1_2_service() {
    let a = speaks(SOAP12, "", "<done/>", "200 OK");
    let router = router(TO_A).at(&a, "soap: \"1.2\"").start();
    let answer = router.post(&order());
    let got = a.only();
    assert_eq!(
        got.head.get("content-type"),
        Some("application/soap+xml; charset=utf-8; action=\"urn:example:orders/Place\"")
    );
    assert_eq!(got.head.get("soapaction"), None);
    let sent = text(&got);
    assert!(
        sent.starts_with(&format!("<s:Envelope xmlns:s=\"{SOAP12}\"")),
        "{sent}"
    );
    assert!(
        sent.contains("<o:Place xmlns:o=\"urn:example:orders\"><o:Item>A-1</o:Item></o:Place>")
    );
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.head.get("content-type"),
        Some("text/xml; charset=utf-8")
    );
    assert!(
        answer
            .text()
            .starts_with(&format!("<s:Envelope xmlns:s=\"{SOAP11}\"")),
        "{}",
        answer.text()
    );
    assert!(answer.text().contains("<s:Body><done/></s:Body>"));
    for (direction, from, to) in [
        ("request", "SOAP 1.1", "SOAP 1.2"),
        ("reply", "SOAP 1.2", "SOAP 1.1"),
    ] {
        let sample = format!(
            "soap_router_bridged_messages_total{{endpoint=\"a\",direction=\"{direction}\",from=\"{from}\",to=\"{to}\"}}"
        );
        router.metric_becomes(&sample, 1.0);
    }
}

#[test]
fn a_1_2_caller_and_a_1_1_service() {
    let a = speaks(SOAP11, "", "<done/>", "200 OK");
    let router = router(TO_A).at(&a, "soap: \"1.1\"").start();
    let answer = router.post(
        &order12()
            .with("Accept", "application/soap+xml, */*")
            .with("Accept-Encoding", "gzip"),
    );
    let got = a.only();
    assert_eq!(
        got.head.get("content-type"),
        Some("text/xml; charset=utf-8")
    );
    assert_eq!(
        got.head.get("soapaction"),
        Some("\"urn:example:orders/Place\"")
    );
    assert!(
        got.head.raw.contains("\r\nSOAPAction: "),
        "{}",
        got.head.raw
    );
    assert_eq!(got.head.get("accept"), Some("text/xml, */*"));
    assert_eq!(got.head.get("accept-encoding"), None);
    assert_eq!(
        answer.head.get("content-type"),
        Some("application/soap+xml; charset=utf-8")
    );
    assert!(answer.text().contains(SOAP12));
}

#[test]
fn the_same_version_is_not_touched() {
    let a = service("a").echoes();
    let router = router(TO_A)
        .at(&a, "soap: \"1.1\", addressing: none")
        .start();
    let message = Message::bare(
        format!("<?xml version='1.0'?><!-- c --><e:Envelope xmlns:e='{SOAP11}' ><e:Body ><x/></e:Body></e:Envelope >\n"),
    )
    .with("Content-Type", "text/xml")
    .with("SOAPAction", "urn:bare");
    assert_eq!(router.post(&message).by(), "a");
    let got = a.only();
    assert_eq!(got.body, message.body);
    assert_eq!(got.head.get("soapaction"), Some("urn:bare"));
    assert_eq!(got.head.get("content-type"), Some("text/xml"));
}

#[test]
fn faults_come_back_in_the_callers_version_with_its_status() {
    let fault12 = "<x:Fault><x:Code><x:Value>x:Sender</x:Value></x:Code><x:Reason><x:Text xml:lang=\"de\">nein</x:Text><x:Text xml:lang=\"en\">no</x:Text></x:Reason></x:Fault>";
    let a = speaks(SOAP12, "", fault12, "400 Bad Request");
    let router = router(TO_A).at(&a, "soap: \"1.2\"").start();
    let answer = router.post(&order().with("Accept-Language", "de, en;q=0.5"));
    assert_eq!(answer.status(), 500);
    assert!(
        answer.text().contains("<faultcode>s:Client</faultcode>"),
        "{}",
        answer.text()
    );
    assert!(
        answer.text().contains(">nein</faultstring>"),
        "{}",
        answer.text()
    );
    assert_eq!(
        answer.fault(),
        None,
        "it is the service's fault, not the router's"
    );
    let lost = "soap_router_bridge_losses_total{endpoint=\"a\",loss=\"reason-texts\"}";
    router.metric_becomes(lost, 1.0);

    let fault11 = "<x:Fault><faultcode>x:Client</faultcode><faultstring>no</faultstring></x:Fault>";
    let a = speaks(SOAP11, "", fault11, "500 Internal Server Error");
    let to = |keys: &str| {
        crate::support::router(TO_A)
            .service(keys)
            .at(&a, "soap: \"1.1\"")
            .start()
            .post(&order12())
    };
    assert_eq!(to("").status(), 400);
    let as_wcf = to("sender_fault_status: 500");
    assert_eq!(as_wcf.status(), 500);
    assert!(
        as_wcf.text().contains("<s:Value>s:Sender</s:Value>"),
        "{}",
        as_wcf.text()
    );
}

#[test]
fn addressing_is_taken_out_and_the_answer_relates() {
    let a = speaks(SOAP11, "", "<done/>", "200 OK");
    let router = router(TO_A)
        .at(&a, "soap: \"1.1\", addressing: none")
        .start();
    let header = format!(
        "<w:Action xmlns:w=\"{WSA10}\" e:mustUnderstand=\"1\">urn:do</w:Action><w:MessageID xmlns:w=\"{WSA10}\">urn:id:7</w:MessageID>\
         <w:ReplyTo xmlns:w=\"{WSA10}\"><w:Address>{WSA10}/anonymous</w:Address><w:ReferenceParameters><k:key xmlns:k=\"urn:k\">1</k:key></w:ReferenceParameters></w:ReplyTo>"
    );
    let answer = router.post(&soap12(&header, "<x/>"));
    let sent = text(&a.only());
    assert!(
        !sent.contains("urn:id:7") && !sent.contains("Action"),
        "{sent}"
    );
    assert_eq!(a.only().head.get("soapaction"), Some("\"urn:do\""));
    let back = answer.text();
    assert!(
        back.contains(&format!(
            "<a:RelatesTo xmlns:a=\"{WSA10}\">urn:id:7</a:RelatesTo>"
        )),
        "{back}"
    );
    assert!(back.contains(">urn:doResponse</a:Action>"), "{back}");
    assert!(
        back.contains("<k:key a:IsReferenceParameter=\"true\"") && back.contains(">1</k:key>"),
        "{back}"
    );
}

#[test]
fn addressing_is_made_for_the_service_and_taken_out_for_the_caller() {
    let header = "<w:Action xmlns:w=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\">urn:back</w:Action>\
                  <w:RelatesTo xmlns:w=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\">urn:x</w:RelatesTo>";
    let a = speaks(SOAP12, header, "<done/>", "200 OK");
    let router = router(TO_A)
        .at(
            &a,
            "soap: \"1.2\", addressing: \"2004/08\", bridge: { to: \"urn:logical\" }",
        )
        .start();
    let answer = router.post(&order());
    let sent = text(&a.only());
    for expected in [
        format!("<a:Action xmlns:a=\"{WSA04}\">urn:example:orders/Place</a:Action>"),
        format!("<a:To xmlns:a=\"{WSA04}\">urn:logical</a:To>"),
        "<a:MessageID".to_owned(),
        format!("<a:Address>{WSA04}/role/anonymous</a:Address>"),
    ] {
        assert!(sent.contains(&expected), "{expected}\n{sent}");
    }
    assert!(!answer.text().contains(WSA04), "{}", answer.text());
    assert!(answer.text().contains("<done/>"));
}

#[test]
fn what_cannot_be_bridged_is_a_fault_and_reaches_nobody() {
    let a = service("a").echoes();
    let signed = "<w:Security xmlns:w=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd\"><d:Signature xmlns:d=\"http://www.w3.org/2000/09/xmldsig#\"/></w:Security>";
    let message = soap11(signed, "<x/>");
    let router = router(TO_A).at(&a, "soap: \"1.2\"").start();
    let answer = router.post(&message);
    assert_eq!(
        (answer.status(), answer.fault().as_deref()),
        (500, Some("CannotBridge"))
    );
    assert!(answer.text().contains("signed"), "{}", answer.text());
    assert_eq!(a.count(), 0);
    let unchanged = crate::support::router(TO_A)
        .at(&a, "soap: \"1.2\", on_signed: forward_unchanged")
        .start();
    unchanged.post(&message);
    assert_eq!(a.only().body, message.body);
}

#[test]
fn mandatory_headers_for_the_next_node_are_not_understood() {
    let a = service("a").echoes();
    let router = router(TO_A).at(&a, "soap: \"1.1\"").start();
    let header =
        format!("<h:a xmlns:h=\"urn:h\" e:mustUnderstand=\"true\" e:role=\"{SOAP12}/role/next\"/>");
    let answer = router.post(&soap12(&header, "<x/>"));
    assert_eq!(answer.status(), 500);
    assert!(
        answer
            .text()
            .contains("<s:Value>s:MustUnderstand</s:Value>"),
        "{}",
        answer.text()
    );
    assert!(
        answer
            .text()
            .contains("<s:NotUnderstood qname=\"n:a\" xmlns:n=\"urn:h\"/>"),
        "{}",
        answer.text()
    );
    assert_eq!(a.count(), 0);
}

#[test]
fn a_long_message_streams_and_its_tail_must_be_right() {
    let a = speaks(SOAP12, "", "<done/>", "200 OK");
    let router = router(TO_A).at(&a, "soap: \"1.2\"").start();
    let filling = "<o:Item a='&gt;'>x</o:Item>".repeat(40_000);
    let body = format!("<o:Place xmlns:o=\"urn:o\">{filling}</o:Place>");
    let message = soap11("", &body);
    let mut client = router.client();
    assert_eq!(client.post_chunked("/orders", &message, 5000).status(), 200);
    let got = a.only();
    assert!(got.head.get("transfer-encoding").is_some());
    let sent = text(&got);
    assert!(
        sent.ends_with(&format!("<s:Body>{body}</s:Body></s:Envelope>")),
        "{}",
        sent.len()
    );
    // A message that turns out wrong never arrives whole.
    let mut wrong = message;
    wrong.body.truncate(wrong.body.len() - 30);
    wrong.body.extend(b"</o:Other></e:Body></e:Envelope>");
    let answer = router.client().post_chunked("/orders", &wrong, 5000);
    assert_eq!(
        answer.fault().as_deref(),
        Some("MalformedMessage"),
        "{}",
        answer.text()
    );
    assert_eq!(a.count(), 1);
}

/// What only shows behind the head of a message that is on its way is told by its own name, and what
/// is lost there is counted like what is lost in the head.
#[test]
fn what_shows_behind_the_head_is_told_and_counted() {
    let filling = "<o:Item>x</o:Item>".repeat(20_000);
    let listed = "<o:Item e:encodingStyle='urn:one urn:two'/>";
    let body = format!("<o:Place xmlns:o=\"urn:o\">{filling}{listed}</o:Place>");
    let mut message = soap11("", &body);
    let end = message.body.len() - "</e:Envelope>".len();
    assert!(message.body.ends_with(b"</e:Envelope>"));
    message
        .body
        .splice(end..end, *b"<t:More xmlns:t='urn:t'>and more</t:More>");
    let a = speaks(SOAP12, "", "<done/>", "200 OK");
    let strict = router(TO_A).at(&a, "soap: \"1.2\"").start();
    let answer = strict.client().post_chunked("/orders", &message, 5000);
    assert_eq!(
        answer.fault().as_deref(),
        Some("CannotBridge"),
        "{}",
        answer.text()
    );
    assert!(
        answer.text().contains("stands after Body"),
        "{}",
        answer.text()
    );
    assert_eq!(a.count(), 0);
    let lenient = router(TO_A)
        .at(&a, "soap: \"1.2\", bridge: { trailers: drop }")
        .start();
    let answer = lenient.client().post_chunked("/orders", &message, 5000);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let sent = text(&a.only());
    assert!(
        sent.ends_with("<o:Item s:encodingStyle=\"urn:one\"/></o:Place></s:Body></s:Envelope>")
    );
    for loss in ["trailers", "encoding-style-list"] {
        let sample = format!("soap_router_bridge_losses_total{{endpoint=\"a\",loss=\"{loss}\"}}");
        lenient.metric_becomes(&sample, 1.0);
    }
}

/// A service's own limits hold for what is bridged, not the router's.
#[test]
fn a_message_is_bridged_within_the_limits_of_its_service() {
    let a = speaks(SOAP12, "", "<done/>", "200 OK");
    let deep = |depth: usize| {
        let (open, close) = ("<d>".repeat(depth), "</d>".repeat(depth));
        soap11(
            "",
            &format!("<o:Place xmlns:o='urn:o'>{open}{close}</o:Place>"),
        )
    };
    for (own, router_wide) in [(40, 20), (20, 40)] {
        let router = router(TO_A)
            .at(&a, "soap: \"1.2\"")
            .with(&format!("limits: {{ depth: {router_wide} }}"))
            .service(&format!("limits: {{ depth: {own} }}"))
            .start();
        assert_eq!(router.post(&deep(own - 3)).status(), 200);
        let answer = router.post(&deep(own - 2));
        assert_eq!(answer.fault().as_deref(), Some("LimitExceeded"), "{own}");
    }
}

#[test]
fn a_long_answer_streams_back_and_breaks_off_where_it_is_wrong() {
    let filling = "<i>x</i>".repeat(50_000);
    let whole =
        format!("<x:Envelope xmlns:x=\"{SOAP12}\"><x:Body><r>{filling}</r></x:Body></x:Envelope>");
    let broken = whole.replace("</r>", "</q>");
    let fields = "Content-Type: application/soap+xml\r\n";
    let kept = (whole, broken);
    let a = service("a").replies(move |got: &Received| {
        let is_wrong = text(got).contains("wrong");
        let body = if is_wrong { &kept.1 } else { &kept.0 };
        reply_chunked("200 OK", fields, body, 3000)
    });
    let router = router(TO_A).at(&a, "soap: \"1.2\"").start();
    let answer = router.post(&order());
    assert!(
        answer
            .text()
            .ends_with(&format!("<r>{filling}</r></s:Body></s:Envelope>"))
    );
    let broken = router.client().try_post("/orders", &soap11("", "<wrong/>"));
    assert!(broken.is_err(), "an answer that is cut must not look whole");
}

#[test]
fn an_answer_that_is_no_soap_is_none() {
    let a = service("a").replies(|_| reply("200 OK", "Content-Type: text/xml\r\n", "<html/>"));
    let router = router(TO_A).at(&a, "soap: \"1.2\"").start();
    assert_eq!(
        router.post(&order()).fault().as_deref(),
        Some("BadEndpointReply")
    );
}

#[test]
fn a_backup_of_another_version_gets_the_message_in_its_own() {
    let dead = service("a").replies(|_| Reply::Close);
    let b = service("b").echoes();
    let table = "- { filter: { match_all: {} }, endpoint: a, backups: [b] }";
    let router = router(table)
        .at(&dead, "soap: \"1.2\"")
        .at(&b, "soap: \"1.1\"")
        .start();
    let answer = router.post(&order());
    assert_eq!(answer.by(), "b");
    assert_eq!(b.only().body, order().body);
    assert!(text(&dead.only()).contains(SOAP12));
}

#[test]
fn strict_services_insist() {
    let a = service("a").echoes();
    let strict = router(TO_A).service("strict: true").to(&a).start();
    let lenient = router_to(&[&a]).start();
    let mixed = Message {
        fields: order12().fields,
        body: order().body,
    };
    let cases = [
        (mixed, "VersionMismatch", "media-type-of-other-version"),
        (
            order().with("SOAPAction", "urn:bare"),
            "MalformedMessage",
            "soapaction-unquoted",
        ),
        (
            order().with("SOAPAction", "'urn:single'"),
            "MalformedMessage",
            "soapaction-single-quoted",
        ),
        (
            order12().with("Content-Type", "application/soap+xml; action=urn:x/y"),
            "MalformedMessage",
            "action-parameter-unquoted",
        ),
        (
            soap11(
                &format!("<w:Action xmlns:w=\"{WSA10}\">urn:other</w:Action>"),
                "<x/>",
            ),
            "MalformedMessage",
            "action-differs",
        ),
    ];
    for (message, reason, kind) in cases {
        assert_eq!(
            strict.post(&message).fault().as_deref(),
            Some(reason),
            "{kind}"
        );
        assert_eq!(lenient.post(&message).by(), "a", "{kind}");
        let sample =
            format!("soap_router_tolerated_deviations_total{{service=\"orders\",kind=\"{kind}\"}}");
        lenient.metric_becomes(&sample, 1.0);
    }
    assert_eq!(strict.post(&order()).by(), "a");
}

#[test]
fn explain_says_what_would_change() {
    let a = service("a").echoes();
    let builder = router(TO_A).at(&a, "soap: \"1.2\", addressing: \"1.0\"");
    let folder = builder.write();
    let body = format!("<e:Envelope xmlns:e=\"{SOAP11}\" id=\"1\"><e:Body/></e:Envelope>");
    std::fs::write(folder.path().join("m.xml"), body).unwrap();
    let ran = soap_router(
        folder.path(),
        &[
            "explain",
            "m.xml",
            "--format",
            "json",
            "--header",
            "SOAPAction: \"urn:a\"",
        ],
    );
    let bridge = &ran.json()["sends"][0]["bridge"];
    assert_eq!(
        *bridge,
        json!({
            "from": "SOAP 1.1",
            "to": "SOAP 1.2 with addressing 1.0",
            "content_type": "application/soap+xml; charset=utf-8; action=\"urn:a\"",
            "soap_action": null,
            "losses": ["unqualified-attributes"],
        })
    );
    let refused = soap_router(folder.path(), &["explain", "m.xml", "--format", "json"]);
    assert_eq!(
        (refused.code, refused.json()["fault"]["reason"].as_str()),
        (1, Some("CannotBridge"))
    );
}

/// An MTOM message with an attachment before and one behind the root part.
fn mtom(namespace: &str, kind: &str) -> Message {
    let root = format!(
        "<e:Envelope xmlns:e=\"{namespace}\"><e:Body><d><x:Include xmlns:x=\"http://www.w3.org/2004/08/xop/include\" href=\"cid:a\"/></d></e:Body></e:Envelope>"
    );
    let body = format!(
        "--b=1\r\nContent-ID: <first>\r\nContent-Type: image/png\r\n\r\n\u{1}\r\n--b\r\n\r\n--b=1\r\n\
         Content-Type: application/xop+xml; charset=utf-8;\r\n type=\"{kind}\"\r\nContent-Transfer-Encoding: 8bit\r\nContent-ID: <root>\r\n\r\n{root}\r\n\
         --b=1\r\nContent-ID: <a>\r\n\r\n<e:Envelope/>\r\n--b=1--\r\nepilogue"
    );
    Message::bare(body).with(
        "Content-Type",
        &format!(
            "multipart/related; type=\"application/xop+xml\"; start=\"<root>\"; start-info=\"{kind}\"; boundary=\"b=1\""
        ),
    )
}

#[test]
fn attachments_go_along_untouched() {
    let a = service("a").echoes();
    let bridged = router(TO_A).at(&a, "soap: \"1.2\"").start();
    let message = mtom(SOAP11, "text/xml").with("SOAPAction", "\"urn:do\"");
    for size in [100_000, 40, 7] {
        let before = a.count();
        let _ = bridged.client().post_chunked("/orders", &message, size);
        let got = a.got(before + 1).remove(before);
        assert_eq!(
            got.head.get("content-type"),
            Some(
                "multipart/related; type=\"application/xop+xml\"; start=\"<root>\"; \
                 start-info=\"application/soap+xml; action=\\\"urn:do\\\"\"; boundary=\"b=1\""
            )
        );
        assert_eq!(got.head.get("soapaction"), None);
        let came = String::from_utf8(message.body.clone()).unwrap();
        let expected = came
            .replace(
                "charset=utf-8;\r\n type=\"text/xml\"",
                "charset=utf-8; type=\"application/soap+xml; action=\\\"urn:do\\\"\"",
            )
            .replace(
                &format!("<e:Envelope xmlns:e=\"{SOAP11}\"><e:Body>"),
                &format!("<s:Envelope xmlns:s=\"{SOAP12}\" xmlns:e=\"{SOAP11}\"><s:Body>"),
            )
            .replace("</e:Body></e:Envelope>", "</s:Body></s:Envelope>");
        assert_eq!(text(&got), expected, "in pieces of {size}");
    }
    // The same version leaves as it came.
    let b = service("a").echoes();
    let same = router(TO_A).at(&b, "soap: \"1.1\"").start();
    let _ = same.client().post_chunked("/orders", &message, 33);
    assert_eq!(b.only().body, message.body);
}

#[test]
fn an_attachment_that_is_cut_never_arrives_whole() {
    let a = service("a").echoes();
    let router = router(TO_A).at(&a, "soap: \"1.2\"").start();
    let mut message = mtom(SOAP11, "text/xml");
    message.body.truncate(message.body.len() - 20);
    let answer = router.post(&message);
    assert_eq!(
        answer.fault().as_deref(),
        Some("MalformedMessage"),
        "{}",
        answer.text()
    );
    assert_eq!(a.count(), 0);
}

#[test]
fn an_encoded_root_part_leaves_in_plain() {
    let a = service("a").echoes();
    let router = router(TO_A).at(&a, "soap: \"1.1\"").start();
    let root = format!(
        "<e:Envelope xmlns:e=3D\"{SOAP12}\"><e:Body><a>=C3=A4</a></e:Body></e:Envel=\r\nope>"
    );
    let body = format!(
        "--x\r\nContent-Type: application/soap+xml; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{root}\r\n--x--"
    );
    let message = Message::bare(body).with(
        "Content-Type",
        "multipart/related; type=\"application/soap+xml\"; boundary=x; action=\"urn:do\"",
    );
    let _ = router.post(&message);
    let got = a.only();
    assert_eq!(
        got.head.get("content-type"),
        Some("multipart/related; type=\"text/xml\"; boundary=\"x\"")
    );
    assert_eq!(got.head.get("soapaction"), Some("\"urn:do\""));
    let sent = text(&got);
    assert!(
        sent.starts_with("--x\r\nContent-Type: text/xml; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n<s:Envelope"),
        "{sent}"
    );
    assert!(
        sent.contains("<a>ä</a>") && sent.ends_with("</s:Envelope>\r\n--x--"),
        "{sent}"
    );
}
