-- The health of an OperationCancellation. Each step leaves only what the next one is about, so their order matters.
local status = obj.status or {}
local found = {}
for _, condition in ipairs(status.conditions or {}) do
  found[condition.type] = condition
end

local function is(kind, value)
  return found[kind] ~= nil and found[kind].status == value
end

local function say(health, kind, otherwise)
  local condition = found[kind] or {}
  return {status = health, message = condition.message or otherwise}
end

-- Not seen yet, or not since the last edit. What is finished has no observedGeneration any more: no edit undoes an outcome.
if status.conditions == nil then
  return {status = "Progressing", message = "The controller has not looked at it yet"}
end
if status.observedGeneration ~= nil and status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "The controller has not looked at the last edit yet"}
end
if is("Reconciling", "True") then
  return say("Progressing", "Reconciling", "Under way")
end
-- Finished with an outcome that is not accepted, or a human must act.
if is("Stalled", "True") then
  return say("Degraded", "Stalled", "Stalled")
end
if is("Ready", "False") then
  return say("Degraded", "Ready", "Not accepted")
end
if is("Ready", "True") then
  return say("Healthy", "Ready", "Finished")
end
-- Suspended and looked at: what is desired is done. Argo CD's own "Suspended" would hold back every later sync wave.
if found.CancelRequested ~= nil and found.CancelRequested.reason == "Suspended" then
  return say("Healthy", "CancelRequested", "Suspended")
end
return {status = "Progressing", message = "Under way"}
