//! `evt.infra.*` fields: notices of container engines, as recorders up to 2022 put them into the stream.
//!
//! The notice's third parameter describes it as `KEY: value; KEY: value`.

use super::{Ctx, Field, value};
use capture_common::event_table::code;
use filter_lang::FieldType::Str;
use filter_lang::Value;

#[rustfmt::skip]
pub(super) static FIELDS: &[Field] = &[
    value("evt.infra.docker.name", Str, "what docker did, on its notices", "evt.infra.docker.name=start",
        |c| part(c, b"Event")).hidden(),
    value("evt.infra.docker.container.id", Str, "id of the container of docker's notice", "evt.infra.docker.container.id=3ad7b26ded6d",
        |c| part(c, b"ID")).hidden(),
    value("evt.infra.docker.container.name", Str, "name of the container of docker's notice", "evt.infra.docker.container.name=web",
        |c| part(c, b"name")).hidden(),
    value("evt.infra.docker.container.image", Str, "image of the container of docker's notice", "evt.infra.docker.container.image=nginx",
        |c| part(c, b"Image")).hidden(),
];

/// The value after a key of the description.
fn part<'a>(c: &Ctx<'a>, key: &[u8]) -> Option<Value<'a>> {
    if c.view.raw.code != code::INFRASTRUCTURE_EVENT_E {
        return None;
    }
    find(c.view.raw.text(2)?, key).map(Value::Str)
}

fn find<'a>(description: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    description.split(|&b| b == b';').find_map(|entry| {
        let colon = entry.iter().position(|&b| b == b':')?;
        let (name, value) = (entry[..colon].trim_ascii(), entry[colon + 1..].trim_ascii());
        name.eq_ignore_ascii_case(key).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_are_taken_apart() {
        let text = b"Event: start; ID: 3ad7; Name: web; Image: nginx:1.25";
        assert_eq!(find(text, b"Event"), Some(&b"start"[..]));
        assert_eq!(find(text, b"name"), Some(&b"web"[..]));
        assert_eq!(find(text, b"Image"), Some(&b"nginx:1.25"[..]));
        assert_eq!(find(b"no colon", b"ID"), None);
    }
}
