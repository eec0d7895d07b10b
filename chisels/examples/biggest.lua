-- The largest single reads and writes of a capture.

description = "The reads and writes that moved most bytes at once, largest first: bytes, direction, process and fd."
short_description = "Largest single reads and writes"
category = "I/O"
args = {
    { name = "count", description = "Calls that are shown, 10 unless given", argtype = "int", optional = true },
}

local count = 10
local calls = {}
local bytes, direction, process, fd

function on_set_arg(name, value)
    count = tonumber(value)
    return count ~= nil and count >= 1
end

function on_init()
    bytes = chisel.request_field("evt.rawarg.res")
    direction = chisel.request_field("evt.io_dir")
    process = chisel.request_field("proc.name")
    fd = chisel.request_field("fd.name")
    chisel.set_filter("evt.is_io=true and evt.dir=< and fd.name exists")
    return true
end

function on_event()
    local size = evt.field(bytes)
    if size == nil or size <= 0 or (#calls >= count and size <= calls[#calls].size) then
        return false
    end
    local at = #calls + 1
    while at > 1 and calls[at - 1].size < size do
        at = at - 1
    end
    local line = string.format("%s %s %s", evt.field(direction), evt.field(process), evt.field(fd))
    table.insert(calls, at, { size = size, line = line })
    if #calls > count then
        table.remove(calls)
    end
    return false
end

function on_capture_end()
    for _, call in ipairs(calls) do
        print(string.format("%d %s", call.size, call.line))
    end
    return true
end
