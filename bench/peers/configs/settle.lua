-- Time, level and message under their own names, e-mail and IPv4 addresses masked, in every string however nested.

local LEVELS = {
  trace = "TRACE", debug = "DEBUG", info = "INFO", information = "INFO", notice = "INFO", warn = "WARN",
  warning = "WARN", err = "ERROR", error = "ERROR", fatal = "FATAL", crit = "FATAL", critical = "FATAL",
}
local TIMES = { "timestamp", "@timestamp", "time", "@t" }
local SEVERITIES = { "severity", "log.level", "@l", "severityText", "lvl" }
local MESSAGES = { "message", "@m", "@mt", "short_message", "body" }

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

local function mask(text)
  if string.find(text, "@", 1, true) then
    text = string.gsub(text, "(%w)[%w._%%+-]*@([%w-]+%.[%w.-]*%a)", "%1***@%2")
  end
  if string.find(text, ".", 1, true) then
    text = string.gsub(text, "(%f[%d]%d+%.%d+)%.%d+%.%d+%f[^%d]", "%1.*.*")
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
  record.ts = take(record, "ts", TIMES) or os.date("!%Y-%m-%dT%H:%M:%SZ", timestamp)
  local level = take(record, "level", SEVERITIES)
  record.level = level ~= nil and LEVELS[string.lower(tostring(level))] or "INFO"
  record.msg = take(record, "msg", MESSAGES) or ""
  record.emitter = "bench"
  return 2, timestamp, record
end
