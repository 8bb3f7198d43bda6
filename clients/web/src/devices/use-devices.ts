import { type Devices, devices, onDeviceChange } from "@weir/sdk";
import { useCallback, useEffect, useState } from "preact/hooks";

const NO_DEVICES: Devices = { cameras: [], microphones: [], speakers: [] };

/** Returns the available devices, kept up to date. */
export function useDevices(): { devices: Devices; refresh: () => void } {
  const [known, setKnown] = useState(NO_DEVICES);
  const refresh = useCallback(() => {
    // Fails on pages that may not use devices.
    devices().then(setKnown, () => setKnown(NO_DEVICES));
  }, []);
  useEffect(() => {
    refresh();
    if (!navigator.mediaDevices) return;
    return onDeviceChange(refresh);
  }, [refresh]);
  return { devices: known, refresh };
}
