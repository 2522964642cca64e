//! The limits a document is read under, each with its default and its reason.
//!
//! Checked by the scanner and by the pull reader; leaves limits on expressions to `xpath`.

/// What a document may ask of the scanner before it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Open elements at one time. 256: real envelopes stay below 40, and every level costs a frame.
    pub depth_max: u32,
    /// Attributes on one element, namespace declarations included. 256: keeps the uniqueness check small.
    pub attributes_max: u32,
    /// Bytes of one attribute's value as written. 64 KiB: larger values belong in content, which streams.
    pub attribute_bytes_max: u32,
    /// Bytes of one qualified name. 1 KiB: names are kept for every open element.
    pub name_bytes_max: u32,
    /// Namespace declarations on one element. 64: each is searched when a prefix is new.
    pub namespaces_max: u32,
    /// Bytes from `<` to `>`. 1 MiB: a tag is the only thing that is held whole.
    pub tag_bytes_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth_max: 256,
            attributes_max: 256,
            attribute_bytes_max: 64 << 10,
            name_bytes_max: 1 << 10,
            namespaces_max: 64,
            tag_bytes_max: 1 << 20,
        }
    }
}
