//! The macros that declare a written struct, a word list or a kind once, and derive from it the type, its
//! reader and its schema. What they call is in `fields.rs`.
//!
//! Why macros: a key that is told in one place cannot be known to the reader and unknown to the schema, or
//! have one default in the code and another in the docs.

/// A struct written as a mapping. `name: Type` must be there, `name: Type = default` may be left out,
/// `name: Type [low..=high] = default` is held to a range. The word after `as` names it in messages.
macro_rules! written {
    (
        $(#[doc = $doc:literal])+
        $vis:vis struct $name:ident as $noun:literal {
            $( $(#[doc = $field_doc:literal])+ $field_vis:vis $field:ident : $type:ty $([$range:expr])? $(= $default:expr)?, )+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        $vis struct $name {
            $( $(#[doc = $field_doc])+ $field_vis $field: $type, )+
        }

        impl $crate::config::written::Written for $name {
            const NOUN: &'static str = $noun;

            fn read(
                node: &$crate::config::node::Node,
                reader: &mut $crate::config::written::Reader<'_>,
            ) -> Option<Self> {
                let keys = [$($crate::config::fields::bare(stringify!($field))),+];
                let mut fields = $crate::config::fields::Fields::open(node, reader, $noun, &keys)?;
                // Each key is read before the first missing one ends it: all mistakes are told.
                $( let $field: Option<$type> =
                    $crate::config::shape::written!(@read fields, $field, $type, [$($range)?] $(, $default)?); )+
                Some(Self { $($field: $field?),+ })
            }

            fn schema(book: &mut $crate::config::schema::Book) -> serde_json::Value {
                book.define(stringify!($name), |book| {
                    let properties = vec![$( $crate::config::schema::Property {
                        name: $crate::config::fields::bare(stringify!($field)),
                        doc: $crate::config::schema::doc(&[$($field_doc),+]),
                        schema: $crate::config::shape::written!(@schema book, $type, [$($range)?]),
                        default: $crate::config::shape::written!(@default $type $(, $default)?),
                    } ),+];
                    $crate::config::schema::Book::object(
                        &$crate::config::schema::doc(&[$($doc),+]), properties)
                })
            }
        }
    };
    (@read $fields:ident, $field:ident, $type:ty, [$($range:expr)?]) => {
        $fields.required::<$type>($crate::config::fields::bare(stringify!($field)))
    };
    (@read $fields:ident, $field:ident, $type:ty, [], $default:expr) => {
        Some($fields.optional::<$type>($crate::config::fields::bare(stringify!($field))).unwrap_or_else(|| $default))
    };
    (@read $fields:ident, $field:ident, $type:ty, [$range:expr], $default:expr) => {
        Some($fields.within::<$type>($crate::config::fields::bare(stringify!($field)), $range).unwrap_or_else(|| $default))
    };
    (@schema $book:ident, $type:ty, []) => {
        <$type as $crate::config::written::Written>::schema($book)
    };
    (@schema $book:ident, $type:ty, [$range:expr]) => {
        $crate::config::fields::ranged(<$type as $crate::config::written::Written>::schema($book), $range)
    };
    (@default $type:ty) => { None };
    (@default $type:ty, $default:expr) => {{
        let default: $type = $default;
        Some(serde_json::to_value(default).unwrap_or_default())
    }};
}

/// A choice of words: `Name = "word" or "other spelling"`.
macro_rules! words {
    (
        $(#[doc = $doc:literal])+
        pub enum $name:ident as $noun:literal {
            $( $(#[doc = $word_doc:literal])+ $variant:ident = $word:literal, )+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
        pub enum $name {
            $( $(#[doc = $word_doc])+ #[serde(rename = $word)] $variant, )+
        }

        impl $name {
            /// Every word, as it is written.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word, as it is written.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl $crate::config::written::Written for $name {
            const NOUN: &'static str = $noun;

            fn read(
                node: &$crate::config::node::Node,
                reader: &mut $crate::config::written::Reader<'_>,
            ) -> Option<Self> {
                match $crate::config::fields::word(node, reader, $noun, Self::WORDS)? {
                    $( $word => Some(Self::$variant), )+
                    _ => None,
                }
            }

            fn schema(_: &mut $crate::config::schema::Book) -> serde_json::Value {
                $crate::config::fields::word_schema(Self::WORDS)
            }
        }
    };
}

/// A choice written as a mapping with exactly one key: `Name = "key": Type`.
macro_rules! kinds {
    (
        $(#[doc = $doc:literal])+
        pub enum $name:ident as $noun:literal {
            $( $(#[doc = $kind_doc:literal])+ $variant:ident = $key:literal : $type:ty, )+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, serde::Serialize)]
        pub enum $name {
            $( $(#[doc = $kind_doc])+ #[serde(rename = $key)] $variant($type), )+
        }

        impl $name {
            /// Every kind's key, as it is written.
            pub const KINDS: &'static [&'static str] = &[$($key),+];

            /// The key under which this kind is written.
            pub fn kind(&self) -> &'static str {
                match self { $(Self::$variant(_) => $key),+ }
            }
        }

        impl $crate::config::written::Written for $name {
            const NOUN: &'static str = $noun;

            fn read(
                node: &$crate::config::node::Node,
                reader: &mut $crate::config::written::Reader<'_>,
            ) -> Option<Self> {
                let (key, value) = $crate::config::fields::one_key(node, reader, $noun, Self::KINDS)?;
                match key {
                    $( $key => <$type as $crate::config::written::Written>::read(value, reader).map(Self::$variant), )+
                    _ => None,
                }
            }

            fn schema(book: &mut $crate::config::schema::Book) -> serde_json::Value {
                book.define(stringify!($name), |book| {
                    let properties = vec![$( $crate::config::schema::Property {
                        name: $key,
                        doc: $crate::config::schema::doc(&[$($kind_doc),+]),
                        schema: <$type as $crate::config::written::Written>::schema(book),
                        default: Some(serde_json::Value::Null),
                    } ),+];
                    let mut object = $crate::config::schema::Book::object(
                        &$crate::config::schema::doc(&[$($doc),+]), properties);
                    $crate::config::schema::set(&mut object, "minProperties", 1.into());
                    $crate::config::schema::set(&mut object, "maxProperties", 1.into());
                    object
                })
            }
        }
    };
}

pub(super) use {kinds, words, written};
