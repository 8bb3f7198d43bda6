import type { Device } from "@weir/sdk";

interface Props {
  label: string;
  value: string | undefined;
  options: Device[];
  choose: (deviceId: string) => void;
}

/** Drop-down list of devices. */
export function Select({ label, value, options, choose }: Props) {
  return (
    <label class="field">
      <span>{label}</span>
      <select
        value={value ?? options[0]?.deviceId ?? ""}
        disabled={options.length === 0}
        onChange={({ currentTarget }) => choose(currentTarget.value)}
      >
        {options.length === 0 && <option value="">None found</option>}
        {options.map(({ deviceId, label: name }, index) => (
          <option key={deviceId} value={deviceId}>
            {name || `${label} ${index + 1}`}
          </option>
        ))}
      </select>
    </label>
  );
}
