//! The fields of the configuration with what the code says of them: the comments of `Config` and of
//! its sections in `src/config`, so that there is one text for each.

use std::collections::BTreeMap;

use quote::ToTokens;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Expr, ExprLit, Ident, Item, Lit, Meta, Token, Type};

/// One field.
pub struct Field {
    /// As files have it.
    pub name: String,
    /// What it is, in sentences.
    pub doc: String,
    /// The type's last word: of an `Option`, that of what is in it.
    pub of: String,
}

/// The fields of each struct, in order, by the struct's name.
pub type Structs = BTreeMap<String, Vec<Field>>;

/// Reads them out of the source.
///
/// # Panics
///
/// The source is not what it was when this was written.
pub fn read() -> Structs {
    let mut structs = Structs::new();
    let source = include_str!("../../src/config/mod.rs");
    for item in syn::parse_file(source).expect("src/config/mod.rs").items {
        match item {
            Item::Struct(item) if item.ident == "Config" => {
                let fields = item.fields.iter().map(field).collect();
                structs.insert("Config".to_owned(), fields);
            }
            _ => {}
        }
    }
    let source = include_str!("../../src/config/sections.rs");
    let file = syn::parse_file(source).expect("src/config/sections.rs");
    for item in file.items {
        match item {
            Item::Macro(item) if item.mac.path.is_ident("section") => {
                let Section { name, fields } = item.mac.parse_body().expect("a section");
                structs.insert(name, fields);
            }
            _ => {}
        }
    }
    structs
}

/// The body of `section! { … }`.
struct Section {
    name: String,
    fields: Vec<Field>,
}

impl Parse for Section {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        Attribute::parse_outer(input)?;
        let name = input.parse::<Ident>()?.to_string();
        input.parse::<Token![,]>()?;
        input.parse::<Ident>()?;
        let body;
        syn::braced!(body in input);
        let fields = body.parse_terminated(syn::Field::parse_named, Token![,])?;
        let fields = fields.iter().map(field).collect();
        Ok(Self { name, fields })
    }
}

fn field(field: &syn::Field) -> Field {
    let ident = field.ident.as_ref().expect("a named field").to_string();
    Field {
        name: renamed(&field.attrs).unwrap_or_else(|| camel_case(&ident)),
        doc: doc(&field.attrs),
        of: last_word(&field.ty),
    }
}

/// What `#[serde(rename = "…")]` says.
fn renamed(attributes: &[Attribute]) -> Option<String> {
    let text = attributes
        .iter()
        .find(|attribute| attribute.path().is_ident("serde"))?
        .to_token_stream()
        .to_string();
    let (_, rest) = text.split_once("rename = \"")?;
    Some(rest.split('"').next().unwrap_or_default().to_owned())
}

/// The comment as sentences, without rustdoc's marks.
fn doc(attributes: &[Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes {
        if let Meta::NameValue(pair) = &attribute.meta
            && pair.path.is_ident("doc")
            && let Expr::Lit(ExprLit {
                lit: Lit::Str(line),
                ..
            }) = &pair.value
        {
            text.push_str(line.value().trim());
            text.push(' ');
        }
    }
    text.trim().replace(['`', '[', ']'], "")
}

fn camel_case(snake: &str) -> String {
    let mut words = snake.split('_');
    let mut name = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (first, rest) = word.split_at(1);
        name.push_str(&first.to_uppercase());
        name.push_str(rest);
    }
    name
}

fn last_word(of: &Type) -> String {
    let text = of.to_token_stream().to_string();
    let inside = text
        .strip_prefix("Option < ")
        .and_then(|rest| rest.strip_suffix(" >"))
        .unwrap_or(&text);
    inside.to_owned()
}
