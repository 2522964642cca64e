//! A fault in its other version (bridging rules §3): codes, reasons, who, detail.
//!
//! Its parts take each other's places, so that the white space between them stays.

use super::doc::{NodeId, Resolved, escape};

use super::fault_read::{Code, Found, Subcode};
use super::loss::Loss;
use super::names::{class, local, of_version};

use super::addressing;
use super::work::{Direction, Work};
use crate::soap::addressing::Addressing;
use crate::soap::version::{SOAP11, SOAP12, Version};
use crate::xml::XML_NAMESPACE;

/// The language of a `faultstring` that does not say (F16).
const LANGUAGE: &str = "en";

/// A fault's parts in the order that the version wants; empty ones are left out.
type Parts = [String; 5];

impl Work<'_> {
    /// Translates the fault.
    pub(super) fn fault(&mut self, found: &Found, style: Option<&str>) {
        if !self.changes_envelope() {
            self.fault_in_place(found);
            return;
        }
        self.rename_fault(found);
        if found.unread_code {
            self.losses.add(Loss::FaultCode);
        }
        let code = self.code(found);
        let parts = match self.to.soap {
            Version::Soap12 => self.parts12(found, code, style),
            Version::Soap11 => self.parts11(found, code),
        };
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        self.place(found, &parts);
    }

    /// The code as it is handed on: what the bridge brought about itself is not the caller's
    /// doing (M6, M7).
    pub(super) fn code(&self, found: &Found) -> Code {
        let Direction::Reply(context) = self.direction else {
            return found.code;
        };
        match found.code {
            Code::VersionMismatch if self.changes_envelope() => Code::Receiver,
            Code::MustUnderstand if context.added_addressing && !self.names_others() => {
                Code::Receiver
            }
            code => code,
        }
    }

    /// Whether the fault names a header block that it did not understand and that is none of
    /// addressing's.
    fn names_others(&self) -> bool {
        self.not_understood()
            .iter()
            .any(|name| Addressing::from_namespace(&name.namespace).is_none())
    }

    fn not_understood(&self) -> Vec<Resolved> {
        let doc = self.doc();
        let own = self
            .blocks
            .iter()
            .filter(|b| b.class == (class::SOAP12 | const { local("NotUnderstood") }));
        own.filter_map(|block| {
            let name = doc.attribute(block.id, "", "qname")?;
            doc.qname(block.id, &doc.value(&name))
        })
        .collect()
    }

    fn rename_fault(&mut self, found: &Found) {
        self.rename(found.fault, self.prefix, "Fault", []);
        let own = of_version(self.from.soap) | const { local("encodingStyle") };
        if let Some(style) = self.doc().attribute_of(found.fault, own) {
            self.patch.remove(style.whole());
        }
    }

    /// Puts the parts where parts were: the first into the first place, and so on.
    fn place(&mut self, found: &Found, parts: &[String]) {
        let doc = self.doc();
        let Some(fault) = doc.node(found.fault) else {
            return;
        };
        let last = found.known.len().saturating_sub(1);
        for (at, id) in found.known.iter().enumerate() {
            let Some(node) = doc.node(*id) else { continue };
            let mut with = parts.get(at).cloned().unwrap_or_default();
            if at == last {
                with.extend(parts.iter().skip(at + 1).map(String::as_str));
            }
            self.patch.replace(node.start..node.end, [&with]);
        }
        if found.known.is_empty() {
            let all = parts.concat();
            if fault.empty {
                self.patch.replace(
                    doc.close(found.fault)..fault.open_end,
                    [">", &all, "</", self.prefix, ":Fault>"],
                );
            } else {
                self.patch.insert(fault.open_end, [&all]);
            }
        }
        for other in &found.others {
            self.remove(*other);
        }
    }

    fn parts12(&mut self, found: &Found, code: Code, style: Option<&str>) -> Parts {
        let p = self.prefix;
        let mut subcodes = String::new();
        for subcode in found.subcodes.iter().rev() {
            let (declared, name) = self.qname(found.fault, &self.translated(&subcode.name), false);
            subcodes = format!(
                "<{p}:Subcode><{p}:Value{declared}>{name}</{p}:Value>{subcodes}</{p}:Subcode>"
            );
        }
        let value = code.name12();
        let mut texts = String::new();
        for id in &found.texts {
            let language = self
                .doc()
                .language(*id)
                .unwrap_or_else(|| LANGUAGE.to_owned());
            let (language, text) = (escape(&language), self.words(*id));
            texts.push_str(&format!(
                "<{p}:Text xml:lang=\"{language}\">{text}</{p}:Text>"
            ));
        }
        if texts.is_empty() {
            texts = format!("<{p}:Text xml:lang=\"{LANGUAGE}\"></{p}:Text>");
        }
        let uri = |work: &Self, name: &str, id: Option<NodeId>| {
            let text = id.map(|id| work.doc().text(id).trim().to_owned());
            let text = text.filter(|text| !text.is_empty());
            text.map_or_else(String::new, |text| {
                format!("<{p}:{name}>{}</{p}:{name}>", escape(&text))
            })
        };
        [
            format!("<{p}:Code><{p}:Value>{p}:{value}</{p}:Value>{subcodes}</{p}:Code>"),
            format!("<{p}:Reason>{texts}</{p}:Reason>"),
            uri(self, "Node", found.node),
            uri(self, "Role", found.role),
            self.detail12(found, style),
        ]
    }

    /// F23, F24, F28, F30.
    fn detail12(&mut self, found: &Found, style: Option<&str>) -> String {
        let name = format!("{}:Detail", self.prefix);
        let doc = self.doc();
        let mut style = style.map(str::to_owned);
        let own = |id: NodeId| {
            doc.attribute(id, SOAP11, "encodingStyle")
                .map(|a| doc.value(&a).trim().to_owned())
        };
        for id in [Some(found.fault), found.detail].into_iter().flatten() {
            style = own(id).or(style).filter(|style| !style.is_empty());
        }
        let mut inner = String::new();
        if let Some(detail) = found.detail {
            inner.push_str(&self.detail_content(detail, style.as_deref(), None, false));
        }
        for other in &found.others {
            inner.push_str(&addressing::stand_alone(doc, *other, Some(found.fault)));
        }
        let moved = self
            .headers
            .fault_detail
            .filter(|_| self.from.soap == Version::Soap11);
        if let Some(header) = moved {
            for child in doc.children(header).collect::<Vec<_>>() {
                inner.push_str(&addressing::stand_alone(doc, child, Some(0)));
            }
            self.drop_fault_detail(header);
        }
        let attributes = found
            .detail
            .map(|id| self.detail_attributes(id, false))
            .unwrap_or_default();
        if found.detail.is_none() && inner.is_empty() {
            return String::new();
        }
        format!("<{name}{attributes}>{inner}</{name}>")
    }

    fn drop_fault_detail(&mut self, header: NodeId) {
        for block in self.blocks.iter_mut().filter(|block| block.id == header) {
            block.dropped = true;
        }
    }

    /// The attributes that a detail keeps: all but those of the envelope's old namespace, and the
    /// default namespace where it cannot stay.
    fn detail_attributes(&self, id: NodeId, without_default: bool) -> String {
        let doc = self.doc();
        let kept = doc.attributes(id).iter().filter(|attribute| {
            let own = attribute.class & of_version(self.from.soap) != 0;
            !(own || without_default && doc.declares(attribute) == Some(""))
        });
        kept.map(|attribute| doc.slice(attribute.whole())).collect()
    }

    /// What is in a detail, with the few changes that it needs. `default` is written on each
    /// entry that does not say its own (F24).
    fn detail_content(
        &mut self,
        detail: NodeId,
        style: Option<&str>,
        default: Option<&str>,
        to11: bool,
    ) -> String {
        let doc = self.doc();
        let Some(node) = doc.node(detail) else {
            return String::new();
        };
        let within = node.open_end..node.close_start;
        let outer = std::mem::take(&mut self.patch);
        for id in doc.descendants(detail) {
            let Some(entry) = doc.node(id) else { continue };
            let style_class = of_version(self.from.soap) | const { local("encodingStyle") };
            let own = entry.encoding && doc.attribute_of(id, style_class).is_some();
            if own && !entry.quoted {
                self.style(id, style.is_some() || entry.depth > 5);
            }
            if entry.depth != 5 {
                continue;
            }
            if let Some(style) = style.filter(|_| !own && !to11) {
                self.state_style(id, style);
            }
            self.restore_default(id, default);
            self.addressing_entry(id);
        }
        let mut patch = std::mem::replace(&mut self.patch, outer);
        patch.render(&doc.bytes, within)
    }

    fn restore_default(&mut self, entry: NodeId, default: Option<&str>) {
        let Some(default) = default else { return };
        let doc = self.doc();
        let mut own = doc.attributes(entry).iter();
        if !own.any(|one| doc.declares(one) == Some("")) {
            let at = doc.name_range(entry).end;
            self.patch.insert(at, [" xmlns=\"", &escape(default), "\""]);
        }
    }

    /// A30: only `RetryAfter` exists in both versions of addressing.
    fn addressing_entry(&mut self, id: NodeId) {
        let Some(to) = self.to.addressing.filter(|_| self.changes_addressing()) else {
            return;
        };
        let class = self.doc().node(id).map_or(0, |node| node.class);
        if class & to.other().class() == 0 {
            return;
        }
        if class & !0xFF == const { local("RetryAfter") } {
            let declared = [" xmlns:", self.wsa, "=\"", to.namespace(), "\""];
            self.rename(id, self.wsa, "RetryAfter", declared);
        } else if to == Addressing::August2004 {
            self.losses.add(Loss::AddressingDetail);
            self.remove(id);
        }
    }

    fn parts11(&mut self, found: &Found, code: Code) -> Parts {
        let doc = self.doc();
        // F24: the four children are in no namespace.
        let default = doc.lookup(Some(found.fault), "").unwrap_or_default();
        let blank = if default.is_empty() {
            ""
        } else {
            " xmlns=\"\""
        };
        let (declared, name) = self.code11(found, code, !blank.is_empty());
        let (language, mut text) = self.reason11(found);
        for name in self.not_understood() {
            text.push_str(&format!(
                " (not understood: {})",
                escape(&format!("{{{}}}{}", name.namespace, name.local))
            ));
        }
        let actor = self.actor11(found);
        [
            format!("<faultcode{blank}{declared}>{name}</faultcode>"),
            format!("<faultstring{blank}{language}>{text}</faultstring>"),
            actor.map_or_else(String::new, |uri| {
                format!("<faultactor{blank}>{}</faultactor>", escape(&uri))
            }),
            self.detail11(found, &default, blank),
            String::new(),
        ]
    }

    /// F9 to F14.
    fn code11(&mut self, found: &Found, code: Code, blank: bool) -> (String, String) {
        if code == Code::DataEncodingUnknown {
            self.losses.add(Loss::FaultCode);
        }
        let plain = |work: &Self| (String::new(), format!("{}:{}", work.prefix, code.name11()));
        let subcodes = self.carried(&found.subcodes);
        let about_addressing =
            |code: &&Subcode| Addressing::from_namespace(&code.name.namespace).is_some();
        let chosen = match subcodes.iter().find(about_addressing) {
            Some(_) => subcodes.last(),
            None => subcodes.first(),
        };
        let Some(chosen) = chosen else {
            return plain(self);
        };
        if subcodes.len() > 1 {
            self.losses.add(Loss::Subcodes);
        }
        if chosen.name.namespace != SOAP11 {
            self.losses.add(Loss::FaultValue);
        }
        self.qname(found.fault, &self.translated(&chosen.name), blank)
    }

    /// The subcodes that the other addressing version knows: 2004/08 has no second level (A29).
    fn carried(&self, subcodes: &[Subcode]) -> Vec<Subcode> {
        let drops = self.changes_addressing() && self.to.addressing == Some(Addressing::August2004);
        let mut kept = subcodes.to_vec();
        if drops
            && kept.first().is_some_and(|first| {
                Addressing::from_namespace(&first.name.namespace) == Some(Addressing::V10)
            })
        {
            kept.truncate(1);
        }
        kept
    }

    /// F16: the caller's language, then English, then the first.
    fn reason11(&mut self, found: &Found) -> (String, String) {
        if found.texts.len() > 1 {
            self.losses.add(Loss::ReasonTexts);
        }
        let doc = self.doc();
        let languages = match self.direction {
            Direction::Reply(context) => context.languages.as_deref().unwrap_or_default(),
            Direction::Request(_) => "",
        };
        let wanted = wanted(languages);
        let speaks = |id: &&NodeId, language: &str| {
            let own = doc.language(**id).unwrap_or_default().to_ascii_lowercase();
            own == language
                || own
                    .strip_prefix(language)
                    .is_some_and(|rest| rest.starts_with('-'))
        };
        let mut preferred = wanted.iter().map(String::as_str).chain([LANGUAGE]);
        let chosen = preferred
            .find_map(|language| found.texts.iter().find(|id| speaks(id, language)))
            .or_else(|| found.texts.first());
        let Some(id) = chosen else {
            return (String::new(), String::new());
        };
        let language = doc
            .attribute(*id, XML_NAMESPACE, "lang")
            .map_or_else(String::new, |found| {
                format!(" xml:lang=\"{}\"", escape(&doc.value(&found)))
            });
        (language, self.words(*id))
    }

    /// F20.
    fn actor11(&mut self, found: &Found) -> Option<String> {
        let doc = self.doc();
        let text = |id: NodeId| {
            let text = doc.text(id).trim().to_owned();
            (!text.is_empty()).then_some(text)
        };
        let role = found.role.and_then(text);
        let special = |role: &String| {
            role.strip_prefix(SOAP12)
                .is_some_and(|r| r.starts_with("/role/"))
        };
        match found.node.and_then(text) {
            Some(node) => {
                if role.is_some() {
                    self.losses.add(Loss::FaultRole);
                }
                Some(node)
            }
            None => role.filter(|role| !special(role)),
        }
    }

    fn detail11(&mut self, found: &Found, default: &str, blank: &str) -> String {
        let Some(detail) = found.detail else {
            return String::new();
        };
        let doc = self.doc();
        let own_default = doc.lookup(Some(detail), "").unwrap_or_default();
        let restored = (!own_default.is_empty()).then_some(&*own_default);
        let to_header = found.is_about_addressing() && self.to.addressing == Some(Addressing::V10);
        let content = self.detail_content(detail, None, restored.filter(|_| !to_header), true);
        if to_header {
            // F30: for faults about headers there is no detail in SOAP 1.1.
            self.fault_detail_header(detail, &content);
            return String::new();
        }
        let attributes = self.detail_attributes(detail, true);
        let blank = if default.is_empty() { "" } else { blank };
        format!("<detail{blank}{attributes}>{content}</detail>")
    }

    fn fault_detail_header(&mut self, detail: NodeId, content: &str) {
        let doc = self.doc();
        let outside = doc.scope(Some(0));
        let mut declared = String::new();
        for (prefix, namespace) in doc.scope(Some(detail)) {
            let unused = !prefix.is_empty() && !content.contains(&format!("{prefix}:"));
            let known = (prefix.clone(), namespace.clone());
            if unused || prefix == self.wsa || outside.contains(&known) {
                continue;
            }
            declared.push_str(&match prefix.as_str() {
                "" => format!(" xmlns=\"{}\"", escape(&namespace)),
                prefix => format!(" xmlns:{prefix}=\"{}\"", escape(&namespace)),
            });
        }
        let (p, namespace) = (self.wsa, Addressing::V10.namespace());
        self.added.push_str(&format!(
            "<{p}:FaultDetail xmlns:{p}=\"{namespace}\"{declared}>{content}</{p}:FaultDetail>"
        ));
    }

    /// Text as it is written, or without the elements that stood in it (F17).
    fn words(&self, id: NodeId) -> String {
        let doc = self.doc();
        let Some(node) = doc.node(id) else {
            return String::new();
        };
        let raw = doc.slice(node.open_end..node.close_start);
        let tags = raw.match_indices('<').any(|(at, _)| {
            !raw.get(at..)
                .is_some_and(|rest| rest.starts_with("<![CDATA[") || rest.starts_with("<!--"))
        });
        if tags {
            escape(&doc.text(id))
        } else {
            raw.to_owned()
        }
    }

    /// A qualified name written anew: a declaration if one is needed, and the text (F15).
    fn qname(&self, at: NodeId, name: &Resolved, blank: bool) -> (String, String) {
        let local = &name.local;
        if name.namespace == self.to.soap.namespace() {
            return (String::new(), format!("{}:{local}", self.prefix));
        }
        if name.namespace.is_empty() {
            let in_none = blank
                || self
                    .doc()
                    .lookup(Some(at), "")
                    .is_some_and(|ns| ns.is_empty());
            let declared = if in_none { "" } else { " xmlns=\"\"" };
            return (declared.to_owned(), local.clone());
        }
        let prefix = if name.prefix.is_empty() {
            "q"
        } else {
            name.prefix.as_str()
        };
        let known = self.doc().lookup(Some(at), prefix);
        let declared = if known.as_deref() == Some(name.namespace.as_str()) {
            String::new()
        } else {
            format!(" xmlns:{prefix}=\"{}\"", escape(&name.namespace))
        };
        (declared, format!("{prefix}:{local}"))
    }

    /// A29: a code of the other addressing version by its name in this one.
    fn translated(&self, name: &Resolved) -> Resolved {
        let Some(to) = self.to.addressing.filter(|_| self.changes_addressing()) else {
            return name.clone();
        };
        if name.namespace != to.other().namespace() {
            return name.clone();
        }
        let local = match (to, name.local.as_str()) {
            (Addressing::August2004, "InvalidAddressingHeader") => {
                "InvalidMessageInformationHeader"
            }
            (Addressing::August2004, "MessageAddressingHeaderRequired") => {
                "MessageInformationHeaderRequired"
            }
            (Addressing::V10, "InvalidMessageInformationHeader") => "InvalidAddressingHeader",
            (Addressing::V10, "MessageInformationHeaderRequired") => {
                "MessageAddressingHeaderRequired"
            }
            (_, same) => same,
        };
        Resolved {
            prefix: self.wsa.to_owned(),
            namespace: to.namespace().to_owned(),
            local: local.to_owned(),
        }
    }

    /// Only addressing changes: its codes and its details, each where it stands.
    fn fault_in_place(&mut self, found: &Found) {
        if !self.changes_addressing() {
            return;
        }
        let doc = self.doc();
        for (at, subcode) in found.subcodes.iter().enumerate() {
            let new = self.translated(&subcode.name);
            if new == subcode.name {
                continue;
            }
            // The second level does not exist in 2004/08 (A29).
            if let (Some(around), true) = (
                subcode.around,
                at > 0 && self.to.addressing == Some(Addressing::August2004),
            ) {
                self.losses.add(Loss::Subcodes);
                self.remove(around);
                break;
            }
            let end = doc.name_range(subcode.at).end;
            self.patch
                .insert(end, [" xmlns:", &new.prefix, "=\"", &new.namespace, "\""]);
            self.content(subcode.at, &format!("{}:{}", new.prefix, new.local));
        }
        let entries = found.detail.map(|id| doc.children(id).collect::<Vec<_>>());
        for entry in entries.unwrap_or_default() {
            self.addressing_entry(entry);
        }
        if let Some(header) = self
            .headers
            .fault_detail
            .filter(|_| self.to.addressing != Some(Addressing::V10))
        {
            self.spread_fault_detail(found, header);
        }
    }

    /// F31: without a header for it, the detail of a 1.1 fault takes it.
    fn spread_fault_detail(&mut self, found: &Found, header: NodeId) {
        let doc = self.doc();
        let children: Vec<NodeId> = doc.children(header).collect();
        let inner: String = children
            .iter()
            .map(|child| addressing::stand_alone(doc, *child, Some(0)))
            .collect();
        self.drop_fault_detail(header);
        let at = found
            .detail
            .or(Some(found.fault))
            .and_then(|id| doc.node(id));
        let Some(node) = at.filter(|node| !node.empty) else {
            return;
        };
        let default = doc
            .lookup(Some(found.fault), "")
            .is_some_and(|ns| !ns.is_empty());
        let blank = if default { " xmlns=\"\"" } else { "" };
        let text = match found.detail {
            Some(_) => inner,
            None => format!("<detail{blank}>{inner}</detail>"),
        };
        self.patch.insert(node.close_start, [&text]);
    }
}

/// Languages in the order of their weight (RFC 9110 §12.5.4).
fn wanted(header: &str) -> Vec<String> {
    let mut all: Vec<(f32, String)> = header
        .split(',')
        .filter_map(|item| {
            let (language, parameters) = item.split_once(';').unwrap_or((item, ""));
            let language = language.trim().to_ascii_lowercase();
            let weight = parameters
                .trim()
                .strip_prefix("q=")
                .and_then(|q| q.parse().ok());
            let weight = weight.unwrap_or(1.0_f32);
            (!language.is_empty() && language != "*" && weight > 0.0).then_some((weight, language))
        })
        .collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all.into_iter().map(|(_, language)| language).collect()
}
