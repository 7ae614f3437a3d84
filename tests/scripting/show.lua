-- Runs a snippet and shows all that it returns, or its error, as text that two servers can be compared by.
local function show(value, depth)
  local kind = type(value)
  if kind == 'number' then
    return (string.gsub(string.format('%.17g', value), '-nan', 'nan'))
  elseif kind == 'string' then
    return string.format('%q', value)
  elseif kind == 'table' then
    if depth > 40 then return '{...}' end
    local parts = {}
    for key, item in pairs(value) do
      parts[#parts + 1] = '[' .. show(key, depth + 1) .. ']=' .. show(item, depth + 1)
    end
    table.sort(parts)
    return '{' .. table.concat(parts, ',') .. '}'
  elseif kind == 'userdata' then
    return value == cjson.null and 'null' or 'userdata'
  elseif kind == 'nil' or kind == 'boolean' then
    return tostring(value)
  end
  return kind
end
local function pack(...) return {n = select('#', ...), ...} end
local results = pack(pcall(function() %s
end))
local shown = {}
for i = 1, results.n do shown[i] = show(results[i], 0) end
return table.concat(shown, ' ')
