import { Button, Checkbox, Modal, TextInput } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { whyNotNew } from './labelling';
import classes from './drift.module.css';

interface NewClassProps {
  labels: readonly string[];
  device: string;
  onName: (label: string) => void;
}

function Form({ labels, device, onName }: NewClassProps) {
  const [name, setName] = useState('');
  const [isMeant, setIsMeant] = useState(false);
  const [isAsked, setIsAsked] = useState(false);
  const fault = whyNotNew(name, labels);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setIsAsked(true);
    if (fault === null && isMeant) onName(name.trim());
  };
  return (
    <form onSubmit={submit} className={classes.form}>
      <p>
        A name for what this sample shows, where it is none of the classes the model knows. From a few such labels on,{' '}
        {device} answers with the new class, too; the model itself stays as it is.
      </p>
      <TextInput
        label="Name of the class"
        value={name}
        error={isAsked ? fault : null}
        onChange={(event) => setName(event.currentTarget.value)}
        data-autofocus
      />
      <Checkbox
        label="It is really a new class, not another word for one that is there"
        checked={isMeant}
        error={isAsked && fault === null && !isMeant ? 'Please confirm.' : null}
        onChange={(event) => setIsMeant(event.currentTarget.checked)}
      />
      <Button type="submit">Open the class</Button>
    </form>
  );
}

/** Names a class that the model has never had: on purpose, never by a slip of the keyboard. */
export function NewClass({ opened, onClose, ...form }: NewClassProps & { opened: boolean; onClose: () => void }) {
  return (
    <Modal opened={opened} onClose={onClose} title="Open a new class">
      <Form {...form} />
    </Modal>
  );
}
