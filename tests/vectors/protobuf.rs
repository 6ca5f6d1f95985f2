//! Shows a message as protobuf's JSON, with the field names of the proto file, so that what is
//! sent can be compared with what was recorded. The proto file itself says what the bytes mean.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use prost::Message;
use serde_json::{Map, Value, json};

/// The messages and enumerations of a proto file by name.
pub struct Schema {
    messages: BTreeMap<String, BTreeMap<u64, Field>>,
    enums: BTreeMap<String, BTreeMap<u64, String>>,
}

#[derive(Clone)]
struct Field {
    name: String,
    kind: String,
    repeated: bool,
}

impl Schema {
    /// Reads the project's proto file.
    pub fn load() -> Result<Self, String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/cri.proto");
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let mut schema = Self {
            messages: BTreeMap::new(),
            enums: BTreeMap::new(),
        };
        schema.parse(&text);
        Ok(schema)
    }

    fn parse(&mut self, text: &str) {
        // Names of the blocks that are open, innermost last.
        let mut open: Vec<(&str, String)> = Vec::new();
        for line in text.lines() {
            let line = line.split("//").next().unwrap_or_default().trim();
            let words: Vec<&str> = line
                .split([' ', ';', '=', '{'])
                .filter(|w| !w.is_empty())
                .collect();
            match words.as_slice() {
                [kind @ ("message" | "enum" | "service"), name, ..] => {
                    if !line.ends_with('}') {
                        open.push((kind, (*name).to_owned()));
                    } else {
                        self.messages.insert((*name).to_owned(), BTreeMap::new());
                    }
                }
                ["}"] => {
                    open.pop();
                }
                [name, number] => {
                    if let (Some(("enum", owner)), Ok(number)) = (open.last(), number.parse()) {
                        let values = self.enums.entry(owner.clone()).or_default();
                        values.insert(number, (*name).to_owned());
                    }
                }
                [.., kind, name, number] => {
                    if let (Some(("message", owner)), Ok(number)) = (open.last(), number.parse()) {
                        let field = Field {
                            name: (*name).to_owned(),
                            kind: (*kind).to_owned(),
                            repeated: line.starts_with("repeated") || line.starts_with("map<"),
                        };
                        let fields = self.messages.entry(owner.clone()).or_default();
                        fields.insert(number, field);
                    }
                }
                _ => {}
            }
        }
    }

    /// A message as JSON: zero fields left out, 64-bit numbers and bytes as text.
    pub fn json(&self, name: &str, message: &impl Message) -> Result<Value, String> {
        self.message(name, &message.encode_to_vec())
    }

    fn message(&self, name: &str, mut bytes: &[u8]) -> Result<Value, String> {
        let fields = self
            .messages
            .get(name)
            .ok_or_else(|| format!("no message {name} in the proto file"))?;
        let mut object = Map::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes)?;
            let field = fields
                .get(&(key >> 3))
                .ok_or_else(|| format!("no field {} in {name}", key >> 3))?;
            if key & 7 == 0 {
                let number = varint(&mut bytes)?;
                object.insert(field.name.clone(), self.number(&field.kind, number));
                continue;
            }
            let length = usize::try_from(varint(&mut bytes)?).map_err(|e| e.to_string())?;
            let (content, rest) = bytes.split_at_checked(length).ok_or("cut short")?;
            bytes = rest;
            self.put(&mut object, field, content)?;
        }
        Ok(Value::Object(object))
    }

    fn put(
        &self,
        object: &mut Map<String, Value>,
        field: &Field,
        mut content: &[u8],
    ) -> Result<(), String> {
        let name = field.name.clone();
        if field.kind == "string>" {
            let pair = pair(content)?;
            let map = object.entry(name).or_insert_with(|| json!({}));
            map[pair.0] = json!(pair.1);
            return Ok(());
        }
        let value = match field.kind.as_str() {
            "string" | "bytes" => json!(String::from_utf8_lossy(content)),
            kind if self.messages.contains_key(kind) => self.message(kind, content)?,
            kind => {
                // Numbers packed into one field.
                let list = object.entry(name).or_insert_with(|| json!([]));
                while !content.is_empty() {
                    let number = varint(&mut content)?;
                    if let Value::Array(list) = list {
                        list.push(self.number(kind, number));
                    }
                }
                return Ok(());
            }
        };
        if !field.repeated {
            object.insert(name, value);
        } else if let Value::Array(list) = object.entry(name).or_insert_with(|| json!([])) {
            list.push(value);
        }
        Ok(())
    }

    fn number(&self, kind: &str, number: u64) -> Value {
        match kind {
            "bool" => json!(number != 0),
            "int64" => json!(number.cast_signed().to_string()),
            "uint64" => json!(number.to_string()),
            "int32" | "uint32" => json!(number.cast_signed()),
            kind => json!(self.enums.get(kind).and_then(|values| values.get(&number))),
        }
    }
}

/// The key and value of an entry of a map of text.
fn pair(mut bytes: &[u8]) -> Result<(String, String), String> {
    let mut pair = (String::new(), String::new());
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let length = usize::try_from(varint(&mut bytes)?).map_err(|e| e.to_string())?;
        let (content, rest) = bytes.split_at_checked(length).ok_or("cut short")?;
        bytes = rest;
        let text = String::from_utf8_lossy(content).into_owned();
        if key >> 3 == 1 {
            pair.0 = text;
        } else {
            pair.1 = text;
        }
    }
    Ok(pair)
}

fn varint(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or("cut short")?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err("a number is too long".to_owned())
}
