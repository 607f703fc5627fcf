-- Suspending holds back a cancel that was not announced yet. Once one was (cancelAttempts), or an outcome stands, neither
-- action would do anything, so neither is offered.
local status = obj.status or {}
if status.outcome ~= nil or (status.cancelAttempts or 0) > 0 or obj.metadata.deletionTimestamp ~= nil then
  return {}
end
local suspended = obj.spec.suspend == true
return {
  suspend = {disabled = suspended},
  resume = {disabled = not suspended},
}
