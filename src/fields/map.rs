//! Fields to and from `http`'s map of them, as hyper has it.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::held::Fields;

impl Fields {
    /// The fields of a map. Nothing is known of how its sender spelled them.
    #[must_use]
    pub fn from_map(map: &HeaderMap) -> Self {
        let mut fields = Self::new();
        for (name, value) in map {
            fields.append(name, value);
        }
        fields
    }

    /// The fields as a map.
    #[must_use]
    pub fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.len());
        for (name, value) in self.iter() {
            // What is no name or value for `http` cannot have been read nor set.
            if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
            {
                map.append(name, value);
            }
        }
        map
    }
}
