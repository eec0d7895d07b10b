//! The library `io`: standard output goes the way of `print`, files are limited by [`super::access`].

use super::access::{self, Access};
use super::failure::raise;
use super::host::Host;
use super::os::run_shell;
use super::sandbox::push_text;
use mlua::{AnyUserData, IntoLuaMulti, Lua, MultiValue, UserData, UserDataMethods, Value, Variadic};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Cursor, Read, Seek, SeekFrom, Write};
use std::rc::Rc;

/// A file, or one of the standard streams.
enum Stream {
    Output,
    Errors,
    Reader(Box<dyn ReadSeek>),
    Writer(BufWriter<File>),
    Closed,
}

trait ReadSeek: BufRead + Seek {}
impl<T: BufRead + Seek> ReadSeek for T {}

/// What Lua holds.
struct LuaFile {
    host: Rc<Host>,
    stream: Stream,
}

/// Sets the global `io`.
pub(super) fn install(lua: &Lua, host: &Rc<Host>) -> mlua::Result<()> {
    let io = lua.create_table()?;
    let file = |stream| LuaFile { host: host.clone(), stream };
    io.set("stdout", file(Stream::Output))?;
    io.set("stderr", file(Stream::Errors))?;
    let h = host.clone();
    io.set(
        "write",
        lua.create_function(move |lua, values: Variadic<Value>| {
            h.write(&joined(lua, "write", &values)?)?;
            Ok(true)
        })?,
    )?;
    let h = host.clone();
    io.set("flush", lua.create_function(move |_, _: MultiValue| h.flush_all().map(|()| true))?)?;
    let h = host.clone();
    io.set(
        "open",
        lua.create_function(move |lua, (path, mode): (String, Option<String>)| {
            let opened = open(&h, &path, mode.as_deref().unwrap_or("r"))?;
            answer(lua, &path, opened.map(|stream| LuaFile { host: h.clone(), stream }))
        })?,
    )?;
    let h = host.clone();
    io.set(
        "lines",
        lua.create_function(move |lua, path: String| match open(&h, &path, "r")? {
            Ok(stream) => lines(lua, lua.create_userdata(LuaFile { host: h.clone(), stream })?),
            Err(error) => raise(format!("{path}: {error}")),
        })?,
    )?;
    let h = host.clone();
    io.set(
        "popen",
        lua.create_function(move |lua, (command, mode): (String, Option<String>)| {
            if mode.is_some_and(|mode| !mode.starts_with('r')) {
                return raise("io.popen(): only mode \"r\" is there");
            }
            let output = run_shell(&h, "io.popen", &command)?;
            let stream = output.map(|o| Stream::Reader(Box::new(Cursor::new(o.stdout))));
            answer(lua, &command, stream.map(|stream| LuaFile { host: h.clone(), stream }))
        })?,
    )?;
    io.set(
        "type",
        lua.create_function(|_, value: Value| {
            let Value::UserData(data) = value else { return Ok(None) };
            let Ok(file) = data.borrow::<LuaFile>() else { return Ok(None) };
            Ok(Some(if matches!(file.stream, Stream::Closed) { "closed file" } else { "file" }))
        })?,
    )?;
    io.set("close", lua.create_function(|_, file: AnyUserData| file.borrow_mut::<LuaFile>()?.close())?)?;
    for name in ["read", "input", "output", "tmpfile"] {
        let refused = move |_: &Lua, _: MultiValue| -> mlua::Result<()> {
            raise(format!("io.{name}() is not there for chisels"))
        };
        io.set(name, lua.create_function(refused)?)?;
    }
    lua.globals().set("io", io)
}

/// A value, or nil and the error, as `io` answers.
fn answer(lua: &Lua, path: &str, result: io::Result<LuaFile>) -> mlua::Result<MultiValue> {
    match result {
        Ok(file) => lua.create_userdata(file)?.into_lua_multi(lua),
        Err(error) => (Value::Nil, format!("{path}: {error}"), error.raw_os_error()).into_lua_multi(lua),
    }
}

fn open(host: &Host, path: &str, mode: &str) -> mlua::Result<io::Result<Stream>> {
    let plain = mode.trim_end_matches('b');
    let access = match plain {
        "r" => Access::Read,
        "w" | "a" => Access::Write,
        _ => return raise(format!("io.open(): mode {mode:?} is none of r, w and a")),
    };
    if let Err(reason) = access::check(host, path, access) {
        return raise(format!("io.open(): {reason}"));
    }
    Ok(match plain {
        "r" => File::open(path).map(|file| Stream::Reader(Box::new(BufReader::new(file)))),
        _ => {
            let mut how = OpenOptions::new();
            how.write(true);
            match (plain, host.options.unrestricted) {
                ("a", true) => how.append(true).create(true),
                (_, true) => how.truncate(true).create(true),
                (_, false) => how.create_new(true),
            };
            how.open(path).map(|file| Stream::Writer(BufWriter::new(file)))
        }
    })
}

/// Text and numbers one after another.
fn joined(lua: &Lua, function: &str, values: &[Value]) -> mlua::Result<Vec<u8>> {
    let mut text = Vec::new();
    for (i, value) in values.iter().enumerate() {
        match value {
            Value::String(_) | Value::Integer(_) | Value::Number(_) => push_text(lua, &mut text, value)?,
            other => {
                let kind = other.type_name();
                return raise(format!(
                    "bad argument #{} to '{function}' (string expected, got {kind})",
                    i + 1
                ));
            }
        }
    }
    Ok(text)
}

impl LuaFile {
    fn reader(&mut self) -> mlua::Result<&mut dyn ReadSeek> {
        match &mut self.stream {
            Stream::Reader(reader) => Ok(reader.as_mut()),
            Stream::Closed => raise("attempt to use a closed file"),
            _ => raise("the file is not open for reading"),
        }
    }

    fn write(&mut self, text: &[u8]) -> mlua::Result<()> {
        let written = match &mut self.stream {
            Stream::Output => return self.host.write(text),
            Stream::Errors => io::stderr().write_all(text),
            Stream::Writer(writer) => writer.write_all(text),
            Stream::Reader(_) => return raise("the file is not open for writing"),
            Stream::Closed => return raise("attempt to use a closed file"),
        };
        written.or_else(|error| raise(format!("writing failed: {error}")))
    }

    fn flush(&mut self) -> mlua::Result<()> {
        match &mut self.stream {
            Stream::Output => self.host.flush_all(),
            Stream::Writer(writer) => {
                writer.flush().or_else(|error| raise(format!("writing failed: {error}")))
            }
            _ => Ok(()),
        }
    }

    fn close(&mut self) -> mlua::Result<bool> {
        self.flush()?;
        if !matches!(self.stream, Stream::Output | Stream::Errors) {
            self.stream = Stream::Closed;
        }
        Ok(true)
    }

    /// One item of `read`: a line, all, a number, or so many bytes.
    fn read(&mut self, lua: &Lua, what: &Value) -> mlua::Result<Value> {
        let limit = self.host.options.memory_bytes as u64;
        let failed = |error: io::Error| raise(format!("reading failed: {error}"));
        let mut bytes = Vec::new();
        let wanted = match what {
            Value::String(text) => text.to_string_lossy().trim_start_matches('*').to_owned(),
            Value::Integer(count) => {
                let count = u64::try_from(*count).unwrap_or(0).min(limit);
                self.reader()?.take(count).read_to_end(&mut bytes).or_else(failed)?;
                if bytes.is_empty() && count > 0 {
                    return Ok(Value::Nil);
                }
                return Ok(Value::String(lua.create_string(&bytes)?));
            }
            other => {
                return raise(format!("bad argument to 'read' (format expected, got {})", other.type_name()));
            }
        };
        match wanted.chars().next() {
            Some('a') => {
                self.reader()?.take(limit).read_to_end(&mut bytes).or_else(failed)?;
            }
            Some('l' | 'L') => {
                if self.reader()?.take(limit).read_until(b'\n', &mut bytes).or_else(failed)? == 0 {
                    return Ok(Value::Nil);
                }
                if wanted.starts_with('l') && bytes.last() == Some(&b'\n') {
                    bytes.pop();
                }
            }
            Some('n') => {
                self.reader()?.take(limit).read_until(b'\n', &mut bytes).or_else(failed)?;
                let number = String::from_utf8_lossy(&bytes).trim().parse().ok();
                return Ok(number.map_or(Value::Nil, Value::Number));
            }
            _ => return raise(format!("bad argument to 'read' (invalid format {wanted:?})")),
        }
        Ok(Value::String(lua.create_string(&bytes)?))
    }

    fn seek(&mut self, whence: Option<String>, offset: Option<f64>) -> mlua::Result<f64> {
        let offset = offset.unwrap_or(0.0);
        let to = match whence.as_deref().unwrap_or("cur") {
            "set" => SeekFrom::Start(offset as u64),
            "cur" => SeekFrom::Current(offset as i64),
            "end" => SeekFrom::End(offset as i64),
            other => return raise(format!("bad argument to 'seek' (invalid option {other:?})")),
        };
        let at = match &mut self.stream {
            Stream::Writer(writer) => writer.seek(to),
            _ => self.reader()?.seek(to),
        };
        at.map(|at| at as f64).or_else(|error| raise(format!("seeking failed: {error}")))
    }
}

/// A function that answers the next line of a file, nil after the last.
fn lines(lua: &Lua, file: AnyUserData) -> mlua::Result<MultiValue> {
    let line = Value::String(lua.create_string("l")?);
    lua.create_function(move |lua, _: MultiValue| file.borrow_mut::<LuaFile>()?.read(lua, &line))?
        .into_lua_multi(lua)
}

impl UserData for LuaFile {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_function("write", |lua, (file, values): (AnyUserData, Variadic<Value>)| {
            let text = joined(lua, "write", &values)?;
            file.borrow_mut::<LuaFile>()?.write(&text)?;
            Ok(true)
        });
        methods.add_method_mut("read", |lua, file, formats: Variadic<Value>| {
            if formats.is_empty() {
                let line = Value::String(lua.create_string("l")?);
                return file.read(lua, &line)?.into_lua_multi(lua);
            }
            let mut items = Vec::new();
            for format in formats.iter() {
                items.push(file.read(lua, format)?);
            }
            Ok(MultiValue::from_vec(items))
        });
        methods.add_function("lines", |lua, file: AnyUserData| lines(lua, file));
        methods.add_method_mut("seek", |_, file, (whence, offset): (Option<String>, Option<f64>)| {
            file.seek(whence, offset)
        });
        methods.add_method_mut("flush", |_, file, ()| file.flush().map(|()| true));
        methods.add_method_mut("close", |_, file, ()| file.close());
        methods.add_method("setvbuf", |_, _, _: MultiValue| Ok(true));
        methods.add_meta_method("__tostring", |_, file, ()| {
            Ok(if matches!(file.stream, Stream::Closed) { "file (closed)" } else { "file" })
        });
    }
}

impl Drop for LuaFile {
    fn drop(&mut self) {
        // Nobody is left to hear of an error.
        let _ = self.flush();
    }
}
